'use strict';
// The codes of report/depth_code.py.
const UNKNOWN = 0, NEARER = 65534, BEYOND = 65535;

async function decode(panel) {
  const packed = Uint8Array.from(atob(panel.dataset.depth), one => one.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
  const view = new DataView(await new Response(stream).arrayBuffer());
  const codes = new Uint16Array(view.byteLength / 2);
  for (let i = 0, sum = 0; i < codes.length; i++) {
    sum = (sum + view.getUint16(2 * i, true)) & 65535;
    codes[i] = sum;
  }
  return codes;
}

function words(code, step) {
  if (code === UNKNOWN) return 'unknown';
  if (code === NEARER) return 'nearer than the near limit';
  if (code === BEYOND) return 'beyond range';
  return (code * step).toFixed(2) + ' m';
}

function reads(sample) {
  const panels = sample.querySelector('.panels'), output = sample.querySelector('output');
  const maps = [...panels.querySelectorAll('[data-depth]')];
  const width = +panels.dataset.width, height = +panels.dataset.height;
  let codes = null, x = width >> 1, y = height >> 1;

  async function show() {
    codes ??= Promise.all(maps.map(decode));
    const [depth, truth] = (await codes).map((map, i) => words(map[y * width + x], +maps[i].dataset.step));
    const by = +panels.dataset.step;
    output.textContent = `x ${Math.floor(x * by)}, y ${Math.floor(y * by)}: ${depth}` + (truth ? `, truth ${truth}` : '');
    maps.forEach((panel, i) => { panel.querySelector('span').dataset.reading = [depth, truth][i]; });
    for (const panel of panels.children) {
      const cross = panel.querySelector('.cross') ?? panel.appendChild(
        Object.assign(document.createElement('i'), {className: 'cross'}));
      cross.style.left = 100 * (x + 0.5) / width + '%';
      cross.style.top = 100 * (y + 0.5) / height + '%';
    }
  }

  function point(event) {
    const panel = event.target.closest('.panel');
    if (!panel) return;
    const box = panel.querySelector('img').getBoundingClientRect();
    move(Math.floor((event.clientX - box.left) / box.width * width),
         Math.floor((event.clientY - box.top) / box.height * height));
  }

  function move(column, row) {
    x = Math.min(Math.max(column, 0), width - 1);
    y = Math.min(Math.max(row, 0), height - 1);
    show();
  }

  const KEYS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
  panels.addEventListener('pointermove', point);
  panels.addEventListener('pointerdown', point);
  panels.addEventListener('focus', show);
  panels.addEventListener('keydown', event => {
    const by = KEYS[event.key], far = event.shiftKey ? 10 : 1;
    if (!by) return;
    event.preventDefault();
    move(x + far * by[0], y + far * by[1]);
  });
}

function choose(gallery) {
  const samples = [...gallery.querySelectorAll('.sample')], thumbs = gallery.querySelector('.thumbs');
  const buttons = samples.map(sample => {
    const button = document.createElement('button'), shown = sample.querySelector('[data-depth] img');
    button.type = 'button';
    button.append(Object.assign(shown.cloneNode(), {alt: ''}), sample.dataset.label);
    button.addEventListener('click', () => select(sample));
    return button;
  });
  const select = chosen => samples.forEach((sample, i) => {
    sample.hidden = sample !== chosen;
    buttons[i].setAttribute('aria-pressed', sample === chosen);
  });
  if (samples.length > 1) thumbs.append(...buttons);
  select(samples[0]);
}

document.querySelectorAll('.sample').forEach(sample => {
  if (typeof DecompressionStream === 'function') reads(sample);
  else sample.querySelector('output').textContent = 'This browser is too old to read metres.';
});
document.querySelectorAll('.gallery').forEach(choose);
