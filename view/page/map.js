"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const count = data.x.length;
  const byId = (id) => document.getElementById(id);
  const canvas = byId("map"), paper = canvas.getContext("2d");

  // Thumbnails: sheets are decoded by the browser in the background.
  const sprites = data.sprites, perSheet = sprites.columns * sprites.rows;
  const sheets = sprites.sheets.map((source) => {
    const image = new Image();
    image.onload = () => draw();
    image.src = source;
    return image;
  });
  function drawSprite(target, point, x, y, side) {
    const sheet = sheets[Math.floor(point / perSheet)];
    if (!sheet || !sheet.complete || !sheet.naturalWidth) return;
    const place = point % perSheet;
    target.drawImage(sheet, (place % sprites.columns) * sprites.side, Math.floor(place / sprites.columns) * sprites.side,
      sprites.side, sprites.side, x, y, side, side);
  }
  function spriteCanvas(point, side) {
    const small = document.createElement("canvas");
    const ratio = window.devicePixelRatio || 1;
    small.width = small.height = side * ratio;
    drawSprite(small.getContext("2d"), point, 0, 0, side * ratio);
    return small;
  }

  // Colours of groups: ten that most people tell apart on light and dark ground, then hues a golden angle apart.
  const palette = ["#4e79a7", "#f28e2b", "#e15759", "#3fa7a0", "#59a14f", "#d4a900", "#b07aa1", "#ff7f9e", "#9c6b4e", "#8a8f98"];
  const colourOf = (group) => palette[group] || `hsl(${(group * 137.5) % 360} 55% 52%)`;

  // State. A point (x, y) is drawn at (x·scale + left, y·scale + top), in CSS pixels.
  const at = { scale: 1, left: 0, top: 0 };
  let width = 0, height = 0, ratio = 1, fitted = 1;
  let grouping = 0, hiddenGroups = new Set(), matches = null;
  let hovered = -1, selected = -1, planned = false;

  const groups = () => data.groups[grouping];
  const screenX = (i) => data.x[i] * at.scale + at.left;
  const screenY = (i) => data.y[i] * at.scale + at.top;
  const visible = (i) => !groups() || !hiddenGroups.has(groups().of[i]);

  function resize() {
    const box = canvas.parentElement.getBoundingClientRect();
    const first = width === 0;
    ratio = window.devicePixelRatio || 1;
    width = box.width; height = box.height;
    canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
    fitted = Math.max(50, Math.min(width, height) - 40);
    if (first) fit();
    dots = [];
    draw();
  }
  function fit() {
    at.scale = fitted; at.left = (width - fitted) / 2; at.top = (height - fitted) / 2;
    draw();
  }
  function zoom(factor, x, y) {
    const scale = Math.max(fitted / 2, Math.min(fitted * 200, at.scale * factor));
    at.left = x - (x - at.left) * scale / at.scale;
    at.top = y - (y - at.top) * scale / at.scale;
    at.scale = scale;
    draw();
  }

  // Dots are drawn once a colour and copied, which is several times faster than a path each.
  let dots = [];
  function dot(group, radius, faint) {
    const key = group * 2 + (faint ? 1 : 0);
    const kept = dots[key];
    if (kept && kept.radius === radius) return kept.image;
    const image = document.createElement("canvas"), side = Math.ceil((2 * radius + 2) * ratio);
    image.width = image.height = side;
    const c = image.getContext("2d");
    c.globalAlpha = faint ? 0.15 : 0.9;
    c.fillStyle = colourOf(group);
    c.beginPath();
    c.arc(side / 2, side / 2, radius * ratio, 0, 2 * Math.PI);
    c.fill();
    dots[key] = { radius, image };
    return image;
  }

  function draw() {
    if (planned) return;
    planned = true;
    requestAnimationFrame(() => { planned = false; paint(); });
  }

  const thumbnailsShown = 600; // at most at a time
  function paint() {
    paper.setTransform(1, 0, 0, 1, 0, 0);
    paper.clearRect(0, 0, canvas.width, canvas.height);
    const zoomed = at.scale / fitted;
    const margin = 40, shown = [];
    for (let i = 0; i < count; i++) {
      const x = screenX(i), y = screenY(i);
      if (x > -margin && x < width + margin && y > -margin && y < height + margin && visible(i)) shown.push(i);
    }
    const side = Math.min(sprites.side, 7 * zoomed * Math.sqrt(3000 / Math.max(count, 300)));
    if (side >= 20 && shown.length <= thumbnailsShown) paintThumbnails(shown, Math.max(24, side));
    else paintDots(shown, Math.max(1.5, Math.min(7, 3.2 * Math.pow(zoomed, 0.4) * Math.pow(3000 / Math.max(count, 500), 0.25))));
    paintSelection();
    canvas.dataset.frames = Number(canvas.dataset.frames || 0) + 1;
  }
  function paintDots(shown, radius) {
    radius = Math.round(radius * 4) / 4;
    const division = groups(), half = Math.ceil((2 * radius + 2) * ratio) / 2;
    for (const i of shown) {
      const faint = matches !== null && !matches.has(i);
      paper.drawImage(dot(division ? division.of[i] : 0, radius, faint), screenX(i) * ratio - half, screenY(i) * ratio - half);
    }
  }
  function paintThumbnails(shown, side) {
    paper.setTransform(ratio, 0, 0, ratio, 0, 0);
    const division = groups();
    for (const i of shown) {
      const x = screenX(i) - side / 2, y = screenY(i) - side / 2;
      paper.globalAlpha = matches !== null && !matches.has(i) ? 0.2 : 1;
      paper.fillStyle = colourOf(division ? division.of[i] : 0);
      paper.fillRect(x - 2, y - 2, side + 4, side + 4);
      drawSprite(paper, i, x, y, side);
    }
    paper.globalAlpha = 1;
  }
  function paintSelection() {
    paper.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (selected >= 0) {
      paper.strokeStyle = ink();
      paper.lineWidth = 1;
      for (const other of data.neighbours[selected]) {
        paper.globalAlpha = 0.5;
        paper.beginPath();
        paper.moveTo(screenX(selected), screenY(selected));
        paper.lineTo(screenX(other), screenY(other));
        paper.stroke();
        paper.globalAlpha = 1;
        ring(other, 7, 1.5);
      }
      ring(selected, 10, 3);
    }
    if (hovered >= 0 && hovered !== selected) ring(hovered, 8, 2);
  }
  const ink = () => getComputedStyle(byId("title")).color; // of the theme
  function ring(i, radius, line) {
    paper.strokeStyle = ink();
    paper.lineWidth = line;
    paper.beginPath();
    paper.arc(screenX(i), screenY(i), radius, 0, 2 * Math.PI);
    paper.stroke();
  }

  // The point under the pointer, if any is near.
  function pick(x, y) {
    let best = -1, least = 14 * 14;
    for (let i = 0; i < count; i++) {
      if (!visible(i)) continue;
      const dx = screenX(i) - x, dy = screenY(i) - y, d = dx * dx + dy * dy;
      if (d < least) { least = d; best = i; }
    }
    return best;
  }

  const describe = (i) => data.groups.map((g) => `${g.name}: ${g.names[g.of[i]]}`).join(" · ");

  const tip = byId("tip"), tipPicture = tip.querySelector("canvas"), tipText = tip.querySelector("span");
  function hover(i, x, y) {
    if (i !== hovered) {
      hovered = i;
      tip.hidden = i < 0;
      if (i >= 0) {
        const c = tipPicture.getContext("2d");
        c.clearRect(0, 0, 128, 128);
        drawSprite(c, i, 0, 0, 128);
        tipText.textContent = data.paths[i] + (data.groups.length ? "\n" + describe(i) : "");
        tip.dataset.point = i;
      }
      draw();
    }
    if (i < 0) return;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, x + 16 + box.width > width ? x - 16 - box.width : x + 16) + "px";
    tip.style.top = Math.max(4, Math.min(height - box.height - 4, y - 20)) + "px";
  }

  function select(i, bring) {
    selected = i;
    canvas.dataset.selected = i;
    byId("selection").hidden = i < 0;
    byId("chosen").replaceChildren();
    byId("near").replaceChildren();
    if (i >= 0) {
      const name = document.createElement("div"), about = document.createElement("div");
      name.className = "name"; name.textContent = data.paths[i];
      about.className = "quiet"; about.textContent = describe(i);
      byId("chosen").append(spriteCanvas(i, 192), name, about);
      data.neighbours[i].forEach((other, rank) => {
        const label = document.createElement("span");
        label.className = "name";
        label.textContent = `${data.similar[i][rank].toFixed(2)}  ${data.paths[other]}`;
        byId("near").append(entry(other, spriteCanvas(other, 48), label));
      });
      if (bring) bringIn(i);
    }
    draw();
  }
  function entry(point, ...content) {
    const item = document.createElement("li"), button = document.createElement("button");
    button.append(...content);
    button.onclick = () => { select(point, true); canvas.focus(); };
    item.append(button);
    return item;
  }
  function bringIn(i) {
    const x = screenX(i), y = screenY(i), edge = 60;
    if (x < edge || x > width - edge) at.left += width / 2 - x;
    if (y < edge || y > height - edge) at.top += height / 2 - y;
  }

  // Pointers: one drags, two pinch, a press without movement selects.
  const pointers = new Map();
  let moved = 0;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, place(event));
    canvas.setPointerCapture(event.pointerId);
    if (pointers.size === 1) moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = place(event), before = pointers.get(event.pointerId);
    if (!before) { hover(pick(now.x, now.y), now.x, now.y); return; }
    if (pointers.size === 1) {
      at.left += now.x - before.x; at.top += now.y - before.y;
    } else {
      const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
      const spread = (p) => Math.hypot(p.x - other.x, p.y - other.y) || 1;
      zoom(spread(now) / spread(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
    }
    moved += Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
    pointers.set(event.pointerId, now);
    draw();
  });
  const release = (event) => {
    if (pointers.delete(event.pointerId) && event.type === "pointerup" && moved < 5) {
      const { x, y } = place(event);
      select(pick(x, y), false);
    }
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => hover(-1));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { x, y } = place(event);
    zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0015)), x, y);
  }, { passive: false });

  // Keys: an arrow goes to the nearest picture in its direction.
  function go(dx, dy) {
    if (selected < 0) { select(pick(width / 2, height / 2) >= 0 ? pick(width / 2, height / 2) : firstVisible(), true); return; }
    let best = -1, least = Infinity;
    for (let i = 0; i < count; i++) {
      if (i === selected || !visible(i)) continue;
      const x = screenX(i) - screenX(selected), y = screenY(i) - screenY(selected);
      const along = x * dx + y * dy, across = Math.abs(x * dy - y * dx);
      if (along <= 0.5 || across > along) continue;
      const cost = along + 2 * across;
      if (cost < least) { least = cost; best = i; }
    }
    if (best >= 0) select(best, true);
  }
  // Focus moves once the key has been dealt with, or it would press the button.
  const toNeighbours = () => setTimeout(() => byId("near").querySelector("button")?.focus());
  const firstVisible = () => { for (let i = 0; i < count; i++) if (visible(i)) return i; return -1; };
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (arrows[event.key]) go(...arrows[event.key]);
    else if (event.key === "+" || event.key === "=") zoom(1.3, width / 2, height / 2);
    else if (event.key === "-") zoom(1 / 1.3, width / 2, height / 2);
    else if (event.key === "0") fit();
    else if (event.key === "Escape") select(-1);
    else if (event.key === "Enter" && selected >= 0) toNeighbours();
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== byId("find")) { byId("find").focus(); event.preventDefault(); }
  });

  // Search by path.
  const listed = 50;
  byId("find").addEventListener("input", () => {
    const text = byId("find").value.trim().toLowerCase();
    const found = [];
    if (text) for (let i = 0; i < count; i++) if (data.paths[i].toLowerCase().includes(text)) found.push(i);
    matches = text ? new Set(found) : null;
    byId("count").textContent = text ? `${found.length} of ${count} pictures` : "";
    byId("results").replaceChildren(...found.slice(0, listed).map((i) => entry(i, data.paths[i])));
    draw();
  });
  byId("find").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && matches && matches.size) select(Math.min(...matches), true);
    if (event.key === "Escape") { byId("find").value = ""; byId("find").dispatchEvent(new Event("input")); canvas.focus(); }
  });

  // Colours and their legend.
  function legend() {
    const division = groups();
    byId("legend-title").textContent = division ? division.name : "";
    const sizes = division ? division.names.map(() => 0) : [];
    if (division) for (const g of division.of) sizes[g]++;
    byId("legend").replaceChildren(...(division ? division.names : []).map((name, g) => {
      const button = document.createElement("button"), spot = document.createElement("span"), size = document.createElement("span");
      spot.className = "dot"; spot.style.background = colourOf(g);
      size.className = "count quiet"; size.textContent = sizes[g];
      button.append(spot, name, size);
      button.setAttribute("aria-pressed", !hiddenGroups.has(g));
      button.title = "Show or hide";
      button.onclick = () => {
        if (!hiddenGroups.delete(g)) hiddenGroups.add(g);
        button.setAttribute("aria-pressed", !hiddenGroups.has(g));
        draw();
      };
      const item = document.createElement("li");
      item.append(button);
      return item;
    }));
  }
  data.groups.forEach((division, i) => byId("colours").append(new Option(division.name, i)));
  byId("colours").parentElement.hidden = data.groups.length === 0;
  byId("colours").onchange = () => { grouping = Number(byId("colours").value); hiddenGroups = new Set(); legend(); draw(); };
  byId("whole").onclick = fit;
  byId("theme").onclick = () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    draw();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  byId("title").textContent = data.title;
  byId("about").textContent = data.about;
  legend();
  new ResizeObserver(resize).observe(canvas.parentElement);
})();
