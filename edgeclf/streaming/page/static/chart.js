// The last minute: how probable the label was, and below it which label it was.

import { visible } from "/visible.js";

const SECONDS = 60;
const GAP = 1.0; // seconds without a sample that are drawn as a gap
const BAND = 24;
const AXIS = 20;
const LEFT = 46;

export class HistoryChart {
  constructor(canvas) {
    this.canvas = canvas;
    this.samples = [];
    this.labels = [];
  }

  begin(samples, labels) {
    this.samples = samples.slice();
    this.labels = labels;
  }

  add(time, label, probability) {
    const last = this.samples[this.samples.length - 1];
    if (last && time - last[0] < 0.15 && time >= last[0] && last[1] === label) return;
    this.samples.push([time, label, probability]);
    while (this.samples.length && this.samples[0][0] < time - SECONDS - 2) this.samples.shift();
  }

  // The time of the last sample, in seconds; undefined before the first.
  end() {
    const last = this.samples[this.samples.length - 1];
    return last && last[0];
  }

  color(label) {
    const place = this.labels.indexOf(label);
    return place < 0 ? "--unknown" : `--label-${place % 8}`;
  }

  draw(now) {
    const { canvas } = this;
    const scale = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width) return;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue(name).trim();
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    const floor = height - AXIS - BAND - 6;
    const top = 8;
    const x = (time) => LEFT + ((time - now + SECONDS) / SECONDS) * (width - LEFT - 2);
    const y = (probability) => floor - probability * (floor - top);

    pen.strokeStyle = ink("--line");
    pen.fillStyle = ink("--quiet");
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (const fraction of [0, 0.5, 1]) {
      const level = Math.round(y(fraction)) + 0.5;
      pen.beginPath();
      pen.moveTo(LEFT, level);
      pen.lineTo(width, level);
      pen.stroke();
      pen.fillText(`${fraction * 100} %`, LEFT - 7, level);
    }
    pen.textBaseline = "alphabetic";
    for (const ago of [60, 45, 30, 15, 0]) {
      pen.textAlign = ago === 60 ? "left" : ago === 0 ? "right" : "center";
      pen.fillText(ago ? `−${ago} s` : "now", ago ? x(now - ago) : width, height - 4);
    }

    pen.save();
    pen.beginPath();
    pen.rect(LEFT, 0, width - LEFT, height);
    pen.clip();
    for (const run of this.runs(now)) {
      const color = ink(this.color(run.label));
      const from = x(run.points[0][0]);
      const to = Math.max(x(run.end), from + 1);
      pen.fillStyle = color;
      pen.globalAlpha = 0.28;
      pen.beginPath();
      pen.moveTo(from, floor);
      for (const [time, probability] of run.points) pen.lineTo(x(time), y(probability));
      pen.lineTo(to, y(run.points[run.points.length - 1][1]));
      pen.lineTo(to, floor);
      pen.fill();
      pen.globalAlpha = 1;
      pen.strokeStyle = color;
      pen.lineWidth = 2;
      pen.beginPath();
      for (const [time, probability] of run.points) pen.lineTo(x(time), y(probability));
      pen.lineTo(to, y(run.points[run.points.length - 1][1]));
      pen.stroke();
      pen.fillRect(from, floor + 6, Math.max(to - from - 1.5, 1), BAND);
      this.name(pen, run.label, Math.max(from, LEFT), to, floor + 6, ink("--on-label"));
    }
    pen.restore();
  }

  name(pen, text, from, to, top, color) {
    const label = visible(text);
    if (pen.measureText(label).width + 12 > to - from) return;
    pen.fillStyle = color;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillText(label, from + 6, top + BAND / 2 + 0.5);
  }

  // Stretches with one label and no gap.
  runs(now) {
    const found = [];
    for (const [time, label, probability] of this.samples) {
      const run = found[found.length - 1];
      const joins = run && time - run.last <= GAP && time >= run.last;
      if (joins) run.end = time;
      if (joins && run.label === label) {
        run.points.push([time, probability]);
        run.last = time;
      } else {
        found.push({ label, points: [[time, probability]], last: time, end: Math.min(time + 0.2, now) });
      }
    }
    const latest = found[found.length - 1];
    if (latest && now - latest.last <= GAP) latest.end = now;
    return found;
  }
}
