// What may turn or hide text becomes visible, as edgeclf/printable.py has it: labels and names come from strangers.

const HIDDEN = /[^\P{C}\u200c\u200d]|[\p{Zl}\p{Zp}]/gu; // controls, formats such as U+202E, what is unassigned; not the joiners

export function visible(text) {
  return text.replace(HIDDEN, (character) => {
    const code = character.codePointAt(0).toString(16);
    if (code.length <= 2) return `\\x${code.padStart(2, "0")}`;
    return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
  });
}
