// The keyboard: every action of the page without a mouse.

const FIELDS = ["INPUT", "SELECT", "TEXTAREA"];

/** What a key does: in a field it is typing, but for those that leave it. */
export function onKey(page, event) {
  const typing = FIELDS.includes(event.target.tagName);
  if (event.key === "Escape" || (typing && event.key === "Enter")) event.target.blur?.();
  else if (!typing && !document.getElementById("help").open) act(page, event);
}

function act(page, event) {
  const command = event.ctrlKey || event.metaKey;
  const undo = command && event.key === "z";
  if ((command || event.altKey) && !undo) return;
  const action = undo ? () => page.undo() : actionOf(page, event);
  if (!action) return;
  event.preventDefault();
  action();
}

function actionOf(page, { key, shiftKey }) {
  if (ALWAYS[key]) return () => ALWAYS[key](page);
  if (!page.tube) return null;
  if (/^[1-9]$/.test(key)) return () => page.choose(page.at.row, Number(key) - 1);
  const far = shiftKey ? 10 : 1;
  return WITH_A_TUBE[key] ? () => WITH_A_TUBE[key](page, far) : null;
}

const ALWAYS = {
  u: (page) => page.undo(),
  o: (page) => page.exportRows(),
  "/": () => document.getElementById("words").focus(),
  "?": (page) => page.toggleKeys(),
};

const WITH_A_TUBE = {
  j: (page) => page.choose(page.at.row + 1, page.at.cell),
  k: (page) => page.choose(page.at.row - 1, page.at.cell),
  h: (page) => page.choose(page.at.row, page.at.cell - 1),
  l: (page) => page.choose(page.at.row, page.at.cell + 1),
  n: (page) => page.nextOpen(),
  a: (page) => page.approve(),
  A: (page) => page.approveTube(),
  r: (page) => page.reject(),
  z: (page) => page.takeBack(),
  v: (page) => page.detail.nextHandle(),
  x: (page) => page.detail.zoom(),
  e: () => document.getElementById("code").focus(),
  ArrowLeft: (page, far) => page.detail.nudge(-far, 0),
  ArrowRight: (page, far) => page.detail.nudge(far, 0),
  ArrowUp: (page, far) => page.detail.nudge(0, far),
  ArrowDown: (page, far) => page.detail.nudge(0, -far),
};
