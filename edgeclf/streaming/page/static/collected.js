// The page of collected frames alone, without a camera.

import { Labelling } from "/labelling.js";

const notice = document.getElementById("connection");
const labelling = new Labelling((text) => {
  if (notice.textContent !== text) notice.textContent = text;
  notice.hidden = !text;
});

document.addEventListener("visibilitychange", () => (document.hidden ? labelling.stop() : labelling.start()));
labelling.start();
