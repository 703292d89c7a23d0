// The page of one run that is live, or of runs at rest. It draws everything from the JSON of package page.
"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const palettes = {
    light: ["#0b63b0", "#c2410c", "#0f7a4f", "#a23c8a", "#9a6b00", "#3b8ea5", "#6d4bc3", "#7a7a00"],
    dark: ["#6cb2ff", "#ff9a5c", "#4fd19a", "#ee8fd5", "#f1c04b", "#7fd8ea", "#b7a0ff", "#d3d35a"],
  };
  const colour = (i) => { const p = dark.matches ? palettes.dark : palettes.light; return p[i % p.length]; };
  const ramp = (i, n) => `hsl(${Math.round(210 + 150 * i / Math.max(1, n - 1))} 65% ${dark.matches ? 65 : 42}%)`;
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // make builds an element; a string is text, never markup.
  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== undefined && value !== null) element.setAttribute(name, value);
    }
    element.append(...children.filter((c) => c !== null && c !== undefined));
    return element;
  }
  function fill(element, ...children) { element.replaceChildren(...children); }

  // Numbers as people read them, by unit.
  const trim = (v, digits) => String(Number(v.toPrecision(digits)));
  const writers = {
    ratio: (v) => (v > 0 && v < 0.0005 ? "< 0.1" : String(Number((100 * v).toFixed(v < 0.1 ? 2 : 1)))) + " %",
    seconds: (v) => v >= 1 || v === 0 ? trim(v, 3) + " s" : v >= 1e-3 ? trim(1e3 * v, 3) + " ms" : trim(1e6 * v, 3) + " µs",
    rate: (v) => v >= 100 ? Math.round(v).toLocaleString("en") : trim(v, 3),
    number: (v) => Math.abs(v) >= 1e5 || (v !== 0 && Math.abs(v) < 1e-3) ? v.toExponential(1) : trim(v, 3),
    count: (v) => Math.round(v).toLocaleString("en"),
  };
  const show = (v, unit) => v === null || v === undefined || !Number.isFinite(v) ? "–" : writers[unit](v);
  function duration(seconds) {
    if (!Number.isFinite(seconds)) return "–";
    const s = Math.round(seconds);
    if (s < 60) return s + " s";
    if (s < 3600) return Math.floor(s / 60) + " min " + (s % 60) + " s";
    if (s < 86400) return Math.floor(s / 3600) + " h " + (Math.floor(s / 60) % 60) + " min";
    return Math.floor(s / 86400) + " d " + (Math.floor(s / 3600) % 24) + " h";
  }

  // ---- Charts -------------------------------------------------------------------------------------------------------

  // Chart is a curve, and a table of its last values that says the same to those who do not see it.
  class Chart {
    constructor(spec) {
      this.spec = spec;
      this.plot = make("div", { class: "plot", "aria-hidden": "true" });
      this.table = make("table", {});
      this.element = make("section", { class: "card", "aria-label": spec.title },
        make("h3", {}, spec.title), make("p", { class: "faint" }, spec.about), this.plot, make("div", { class: "scroll" }, this.table));
      this.signature = "";
      new ResizeObserver(() => this.resize()).observe(this.plot);
    }
    resize() {
      if (this.graph && this.plot.clientWidth > 0) this.graph.setSize({ width: this.plot.clientWidth, height: this.plot.clientHeight });
    }
    // draw shows series {name, colour, dash, x, y, aside}; x of all of them may differ.
    draw(series) {
      this.element.hidden = series.length === 0;
      if (series.length === 0) return;
      this.series = series;
      const data = this.join(series);
      const signature = JSON.stringify([dark.matches, series.map((s) => [s.name, s.colour, s.dash])]);
      if (signature !== this.signature || !this.graph) {
        if (this.graph) this.graph.destroy();
        this.graph = new uPlot(this.options(series), data, this.plot);
        this.signature = signature;
        this.rows();
        this.resize();
      } else {
        this.graph.setData(data);
      }
      this.values(null);
    }
    join(series) {
      const stacked = this.spec.stack ? stack(series) : series.map((s) => s.y);
      return uPlot.join(series.map((s, i) => [s.x, stacked[i]]));
    }
    options(series) {
      const unit = this.spec.unit, axis = { stroke: css("--faint"), grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid"), width: 1 }, font: "12px system-ui" };
      return {
        width: Math.max(200, this.plot.clientWidth), height: Math.max(120, this.plot.clientHeight), legend: { show: false },
        cursor: { sync: { key: "runs" }, points: { size: 6 }, drag: { x: true, y: false } },
        scales: { x: { time: false }, y: this.spec.log ? { distr: 3, range: logRange } : { range: (u, low, high) => range(low, high, this.spec) } },
        axes: [
          { ...axis, size: 34, space: 50, values: (u, ticks) => ticks.map((v) => this.spec.layers ? (Number.isInteger(v) ? v : "") : short(v)) },
          { ...axis, size: 62, values: (u, ticks) => ticks.map((v) => v === null ? "" : show(v, unit)) },
        ],
        series: [{}, ...series.map((s) => ({
          stroke: s.colour, width: s.aside ? 1 : 2, dash: s.dash, spanGaps: true, fill: this.spec.stack ? s.colour : undefined,
          points: { show: !s.aside && s.x.length < 40, size: 5, fill: s.colour },
        }))],
        hooks: { setCursor: [(u) => this.values(u.cursor.idx)] },
      };
    }
    rows() {
      const unit = this.spec.axis || "step";
      this.now = make("th", { scope: "col" }, "last");
      const head = make("thead", {}, make("tr", {}, make("th", { scope: "col" }, this.spec.of), this.now, make("th", { scope: "col" }, "lowest"), make("th", { scope: "col" }, "highest")));
      this.cells = [];
      const body = make("tbody", {});
      for (const s of this.series) {
        if (s.aside) { this.cells.push(null); continue; }
        const cells = [make("td"), make("td"), make("td")];
        const swatch = swatchOf(s);
        body.append(make("tr", {}, make("th", { scope: "row" }, swatch, s.name), ...cells));
        this.cells.push(cells);
      }
      this.axis = unit;
      fill(this.table, head, body);
    }
    // values fills the table: the last values, or those under the cursor.
    values(at) {
      if (!this.graph) return;
      const x = this.graph.data[0];
      this.now.textContent = at === null || at === undefined ? "last" : `${this.axis} ${show(x[at], "count")}`;
      this.series.forEach((s, i) => {
        if (!this.cells[i]) return;
        const finite = s.y.filter((v) => v !== null && Number.isFinite(v));
        const value = at === null || at === undefined ? finite[finite.length - 1] : nearest(s, x[at]);
        this.cells[i][0].textContent = show(value, this.spec.unit);
        this.cells[i][1].textContent = show(least(finite), this.spec.unit);
        this.cells[i][2].textContent = show(most(finite), this.spec.unit);
      });
    }
  }
  // swatchOf is a short piece of a curve.
  function swatchOf(s) {
    const name = "http://www.w3.org/2000/svg", svg = document.createElementNS(name, "svg"), line = document.createElementNS(name, "line");
    for (const [key, value] of Object.entries({ class: "swatch", viewBox: "0 0 26 8", "aria-hidden": "true" })) svg.setAttribute(key, value);
    for (const [key, value] of Object.entries({ x1: 0, x2: 26, y1: 4, y2: 4, stroke: s.colour, "stroke-width": 4, "stroke-dasharray": s.dash ? s.dash.join(" ") : "" })) line.setAttribute(key, value);
    svg.append(line);
    return svg;
  }
  const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
  const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
  // nearest is the last value of a series at or before x.
  function nearest(s, x) {
    let found = null;
    for (let i = 0; i < s.x.length && s.x[i] <= x; i++) if (s.y[i] !== null) found = s.y[i];
    return found;
  }
  function stack(series) {
    const sums = [];
    let below = series[series.length - 1].y.map(() => 0);
    for (let i = series.length - 1; i >= 0; i--) {
      below = series[i].y.map((v, j) => below[j] + (v || 0));
      sums[i] = below;
    }
    return sums;
  }
  function range(low, high, spec) {
    if (low === null || high === null) return [0, 1];
    if (spec.zero || spec.stack) low = Math.min(0, low);
    if (spec.most) high = Math.max(spec.most, high);
    const room = (high - low || Math.abs(high) || 1) * 0.05;
    return [low === 0 ? 0 : low - room, high + room];
  }
  function logRange(u, low, high) {
    if (!(low > 0)) low = high > 0 ? high / 1000 : 1e-4;
    if (!(high > 0)) high = low * 10;
    return [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high * 1.0001))];
  }
  const short = (v) => v >= 1e6 ? trim(v / 1e6, 3) + "M" : v >= 1e4 ? trim(v / 1e3, 3) + "k" : trim(v, 4);

  // ---- From records to series ---------------------------------------------------------------------------------------

  const has = (values) => values.some((v) => v !== null && v !== undefined && Number.isFinite(v));
  const unique = (values) => [...new Set(values)];

  // curve takes one number of every record that has it.
  function curve(run, name, pick, more) {
    const x = [], y = [];
    for (const r of run.records) {
      const v = pick(r);
      if (v !== undefined && v !== null) { x.push(run.x(r)); y.push(v); }
    }
    return { name, x, y, ...more };
  }
  const some = (series) => series.filter((s) => has(s.y));
  const colourOf = (many, run, i) => colour(many ? run.number : i);
  const named = (many, run, name) => many ? `${run.name}: ${name}` : name;
  const dashes = [undefined, [8, 4], [2, 3], [10, 3, 2, 3]];

  const best = (r, probe) => {
    const values = (r.probes || []).filter((p) => p.probe === probe && p.accuracy !== null).map((p) => p.accuracy);
    return values.length ? Math.max(...values) : undefined;
  };
  const inspected = (pick) => (r) => r.inspection ? pick(r.inspection) : undefined;

  // Charts of a page, in their order. of(run, many) gives the series of one run; many is true if several runs share it.
  function charts(runs) {
    const many = runs.length > 1;
    const tasks = unique(runs.flatMap((r) => r.tasks || []));
    const each = (pick) => (run) => tasks.map((t, i) => ({ t, i })).map(({ t, i }) =>
      curve(run, named(many, run, t), pick(t), { colour: colourOf(many, run, i), dash: many ? dashes[i % dashes.length] : undefined }));
    const accuracies = (run) => each((t) => (r) => r.tasks[t] && r.tasks[t].accuracy)(run).flatMap((s, i) => {
      const chance = run.chance && run.chance[tasks[i]];
      if (!chance || many || s.x.length === 0) return [s];
      return [s, { name: tasks[i] + " by chance", colour: s.colour, dash: [3, 4], aside: true, x: [s.x[0], s.x[s.x.length - 1]], y: [chance, chance] }];
    });
    const measures = unique(runs.flatMap((r) => r.records.flatMap((x) => Object.values(x.tasks || {}).flatMap((t) => Object.keys(t.metrics || {})))));
    const blocks = unique(runs.flatMap((r) => r.records.flatMap((x) => x.inspection ? Object.keys(x.inspection.updates || {}) : [])));
    const layers = unique(runs.flatMap((r) => r.records.flatMap((x) => x.inspection && x.inspection.features ? x.inspection.features.map((f) => f.layer) : [])));
    const phases = ["data", "forward", "backward", "optimizer", "other"];
    const single = (name, pick, i = 0) => (run) => [curve(run, named(many, run, name), pick, { colour: colourOf(many, run, i) })];
    const health = (key) => (run) => layers.map((l, i) => curve(run, named(many, run, "layer " + l), inspected((s) => {
      const found = (s.features || []).find((f) => f.layer === l);
      return found && found[key];
    }), { colour: many ? colour(run.number) : ramp(i, layers.length), dash: many ? dashes[i % dashes.length] : undefined }));
    const result = [
      { group: "Learning", title: "Loss", about: "of each task, before weighting", of: "task", unit: "number", series: each((t) => (r) => r.tasks[t] && r.tasks[t].loss) },
      { group: "Learning", title: "Accuracy", about: many ? "of each task" : "of each task; dashed: always the commonest answer", of: "task", unit: "ratio", zero: true, series: accuracies },
      ...measures.map((m) => ({ group: "Learning", title: m === "psnr" ? "PSNR" : m, about: m === "psnr" ? "of the predicted colours, in decibel" : "measured by the tasks themselves", of: "task", unit: "number",
        series: each((t) => (r) => r.tasks[t] && r.tasks[t].metrics && r.tasks[t].metrics[m]) })),
      { group: "Learning", title: "Probes", about: "accuracy on labelled pictures of simple classifiers on the frozen features, best layer", of: "probe", unit: "ratio",
        series: (run) => ["knn", "linear"].map((p, i) => curve(run, named(many, run, p === "knn" ? "k-NN" : p), (r) => best(r, p), { colour: colourOf(many, run, i), dash: many ? dashes[i] : undefined })) },
      { group: "Learning", title: "Feature rank", about: "effective number of directions that features use; near 1 they have collapsed", of: "layer", unit: "number", zero: true, series: health("rank") },
      { group: "Learning", title: "Feature spread", about: "over that of random directions; near 0 they have collapsed", of: "layer", unit: "ratio", zero: true, series: health("spread") },
      { group: "Learning", title: "Task weights", about: "factor of each task's loss", of: "task", unit: "number", zero: true, series: each((t) => (r) => r.tasks[t] && r.tasks[t].weight) },
      { group: "Optimization", title: "Learning rate", about: "of the last step", of: "", unit: "number", zero: true, series: single("learning rate", (r) => r.learning_rate) },
      { group: "Optimization", title: "Gradient norm", about: "of the whole gradient, before clipping", of: "", unit: "number", zero: true, series: single("gradient norm", (r) => r.gradient_norm) },
      { group: "Optimization", title: "Gradient norms of the tasks", about: "on the shared backbone, before weighting", of: "task", unit: "number", zero: true, series: each((t) => inspected((s) => (s.task_gradient_norms || {})[t])) },
      { group: "Optimization", title: "Size of updates", about: "change of a block in one step over its weights; about 0.001 is usual", of: "block", unit: "number", log: true,
        series: many ? () => [] : (run) => blocks.map((b, i) => curve(run, b, inspected((s) => s.updates[b]), { colour: ramp(i, blocks.length) })) },
      { group: "Speed", title: "Throughput", about: "pictures a second", of: "", unit: "rate", zero: true, series: single("pictures a second", (r) => r.pictures_per_second) },
      { group: "Speed", title: "Waiting for data", about: "part of the time; above a fifth the run starves", of: "", unit: "ratio", most: 0.05, zero: true, series: single("waiting", (r) => r.data_wait_ratio, 1) },
      { group: "Speed", title: "Phases of a step", about: "seconds, one upon the other", of: "phase", unit: "seconds", stack: true,
        series: many ? () => [] : (run) => phases.map((p, i) => curve(run, p, (r) => r.phase_seconds && r.phase_seconds[p], { colour: colour(i) })) },
      { group: "Speed", title: "Share of peak", about: "arithmetic of the passes over what the processor reaches on registers alone", of: "", unit: "ratio", zero: true, series: single("share of peak", (r) => r.peak_share || undefined, 2) },
    ];
    return result.map((c) => ({ axis: many ? "picture" : "step", ...c }));
  }

  // layerChart is that of an evaluation.
  function layerSeries(runs) {
    const many = runs.length > 1;
    return runs.flatMap((run) => {
      const rows = (run.layers || []).filter((l) => l.layer > 0 && l.accuracy !== null);
      const kinds = unique(rows.map((l) => l.features + "/" + l.probe));
      const curves = kinds.map((k, i) => {
        const own = rows.filter((l) => l.features + "/" + l.probe === k);
        const [features, probe] = k.split("/");
        return { name: named(many, run, `${features}, ${probe}`), x: own.map((l) => l.layer), y: own.map((l) => l.accuracy),
          colour: many ? colour(run.number) : colour(probe === "knn" ? 0 : 1), dash: features === "pretrained" ? undefined : [6, 4] };
      });
      const ends = rows.map((l) => l.layer);
      const pixels = (run.layers || []).filter((l) => l.layer === 0 && ends.length && !many).map((l) => ({
        name: `pixels, ${l.probe}`, x: [Math.min(...ends), Math.max(...ends)], y: [l.accuracy, l.accuracy], colour: colour(l.probe === "knn" ? 0 : 1), dash: [2, 3],
      }));
      return [...curves, ...pixels];
    });
  }

  // ---- Parts of the page --------------------------------------------------------------------------------------------

  const stateNames = { starting: "starting", running: "running", finished: "finished", failed: "failed", interrupted: "interrupted" };

  function verdictOf(run, many) {
    const v = run.verdict;
    return make("section", { class: "verdict " + v.kind, "aria-label": "Verdict" + (many ? " on " + run.name : "") },
      make("p", {}, make("strong", { class: v.kind }, (many ? run.name + ": " : "") + v.title + ".")),
      make("p", {}, v.text), v.notes && v.notes.length ? make("ul", {}, ...v.notes.map((n) => make("li", {}, n))) : null);
  }

  function numbersOf(run) {
    const last = run.records[run.records.length - 1];
    if (!last) return [];
    const numbers = [
      ["step", `${show(last.step, "count")} / ${show(run.steps, "count")}`], ["epoch", String(last.epoch)],
      ["to the end", run.state === "finished" ? "done" : duration(last.remaining_seconds)],
      ["pictures / s", show(last.pictures_per_second, "rate")], ["waits for data", show(last.data_wait_ratio, "ratio")],
      ["share of peak", show(last.peak_share, "ratio")], ["loss", show(last.loss, "number")],
    ];
    return numbers.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  }

  // matrixOf is the table of cosines of the last closer look.
  function matrixOf(run) {
    const seen = [...run.records].reverse().find((r) => r.inspection && r.inspection.cosines && r.inspection.cosines.length);
    if (!seen) return null;
    const cosine = (a, b) => {
      const found = seen.inspection.cosines.find((c) => (c.task === a && c.other === b) || (c.task === b && c.other === a));
      return found ? found.cosine : null;
    };
    const cell = (a, b) => {
      if (a === b) return make("td", {}, "–");
      const v = cosine(a, b), td = make("td", {}, v === null ? "–" : v.toFixed(2).replace(/^-0\.00$/, "0.00"));
      if (v !== null) td.style.background = v < 0 ? `rgb(214 69 65 / ${Math.min(1, -v) * 0.75})` : `rgb(32 126 205 / ${Math.min(1, v) * 0.75})`;
      return td;
    };
    return make("section", { class: "card", "aria-label": "Gradient conflicts" },
      make("h3", {}, "Gradient conflicts"),
      make("p", { class: "faint" }, `cosines between the tasks' gradients on the shared backbone at step ${show(seen.inspection.step, "count")}; red: they work against each other`),
      make("div", { class: "scroll" }, make("table", { class: "matrix" },
        make("thead", {}, make("tr", {}, make("td"), ...run.tasks.map((t) => make("th", { scope: "col" }, t.replaceAll("_", " "))))),
        make("tbody", {}, ...run.tasks.map((a) => make("tr", {}, make("th", { scope: "row" }, a.replaceAll("_", " ")), ...run.tasks.map((b) => cell(a, b))))))));
  }

  const outcomes = { right: ["✓", "right"], wrong: ["✗", "wrong"] };
  function tileOf(tile) {
    const caption = make("figcaption", {});
    if (outcomes[tile.outcome]) caption.append(make("span", { class: "mark", role: "img", "aria-label": outcomes[tile.outcome][1] }, outcomes[tile.outcome][0]), " ");
    caption.append(tile.caption);
    return make("figure", { class: tile.outcome }, make("img", { src: tile.image, alt: tile.caption.replaceAll("\n", ", "), decoding: "async" }), caption);
  }
  function galleryOf(gallery) {
    return [make("p", { class: "faint" }, `after step ${show(gallery.step, "count")}, epoch ${gallery.epoch}`),
      ...gallery.sheets.map((s) => make("section", { class: "card sheet", "aria-label": s.title }, make("h3", {}, s.title), make("p", { class: "faint" }, s.about),
        ...s.rows.map((row) => make("div", { class: "row", tabindex: "0", role: "group", "aria-label": s.title + (row.label ? ": " + row.label : "") },
          ...row.tiles.filter((t) => t).map(tileOf)))))];
  }

  function factsOf(run) {
    return make("dl", { class: "facts" }, ...(run.facts || []).flatMap((f) => [make("dt", {}, f.name), make("dd", {}, f.value)]));
  }

  // grid draws the charts of runs below their headings and returns a function that draws them again.
  function grid(runs, extra) {
    const element = make("div", {});
    const drawn = new Map();
    const groups = new Map();
    const group = (name) => {
      if (!groups.has(name)) {
        const cards = make("div", { class: "grid" });
        const section = make("section", { "aria-label": name }, make("h2", {}, name), cards);
        element.append(section);
        groups.set(name, { section, cards });
      }
      return groups.get(name);
    };
    const redraw = () => {
      for (const spec of [...charts(runs), ...extra(runs)]) {
        const key = spec.group + "/" + spec.title;
        if (!drawn.has(key)) {
          drawn.set(key, new Chart(spec));
          group(spec.group).cards.append(drawn.get(key).element);
        }
        drawn.get(key).draw(some(runs.flatMap((run) => spec.series(run))));
      }
      const matrix = runs.length === 1 ? matrixOf(runs[0]) : null;
      const at = group("Optimization").cards;
      const old = at.querySelector(".matrix")?.closest(".card");
      if (old) old.remove();
      if (matrix) at.append(matrix);
      for (const { section, cards } of groups.values()) section.hidden = [...cards.children].every((c) => c.hidden);
    };
    dark.addEventListener("change", redraw);
    return { element, redraw };
  }

  function shell(title, ...parts) {
    document.title = title;
    document.body.append(make("a", { class: "skip", href: "#main" }, "Skip to the run"), ...parts,
      make("footer", {}, "pretrain. Curves by uPlot (MIT licence)."));
  }

  const prepare = (run, number, many) => {
    run.number = number;
    run.records = run.records || [];
    run.tasks = run.tasks || [];
    run.x = many ? (r) => r.pictures : (r) => r.step;
    return run;
  };

  // ---- Live ---------------------------------------------------------------------------------------------------------

  function live() {
    const run = prepare({ name: "", state: "starting", verdict: { kind: "early", title: "Connecting", text: "", notes: [] } }, 0, false);
    const name = make("h1", {}, "pretrain"), state = make("span", { class: "badge" }), link = make("span", { class: "badge", role: "status" }, "connecting");
    const bar = make("progress", { max: "1", value: "0", "aria-label": "progress of the run" }), numbers = make("dl", { class: "numbers" });
    const verdict = make("div", { "aria-live": "polite" }), pictures = make("section", { "aria-label": "Pictures", hidden: "" });
    const facts = make("div", {}), config = make("pre", { tabindex: "0", "aria-label": "configuration" }), log = make("pre", { tabindex: "0", "aria-label": "log" });
    const curves = grid([run], () => []);
    shell("pretrain", make("header", {}, make("div", { class: "top" }, name, state, link), bar, numbers, verdict),
      make("main", { id: "main", tabindex: "-1" }, curves.element, pictures,
        make("section", { "aria-label": "Run" }, make("h2", {}, "Run"), facts,
          make("details", {}, make("summary", {}, "Configuration"), config),
          make("details", { open: "" }, make("summary", {}, "Log"), log))));

    let said = "", waiting = false, version = 0;
    const draw = () => {
      waiting = false;
      name.textContent = run.name || "pretrain";
      state.textContent = stateNames[run.state] || run.state;
      state.className = "badge " + run.state;
      fill(numbers, ...numbersOf(run));
      const last = run.records[run.records.length - 1], done = last && run.steps ? last.step / run.steps : 0;
      bar.value = done;
      document.title = `${Math.floor(100 * done)} % ${run.name || "pretrain"}`;
      const saying = JSON.stringify(run.verdict);
      if (saying !== said) { fill(verdict, verdictOf(run, false)); said = saying; }
      curves.redraw();
    };
    // soon draws at most twice a second, whatever the run sends.
    const soon = () => { if (!waiting) { waiting = true; setTimeout(draw, 500); } };
    const about = (event) => {
      for (const key of ["name", "state", "error", "steps", "tasks", "chance", "facts", "config", "verdict"]) run[key] = event[key];
      prepare(run, 0, false);
      fill(facts, factsOf(run));
      config.textContent = run.config || "";
      soon();
    };
    const say = (lines) => {
      const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
      run.log = lines.slice(-100);
      log.textContent = run.log.join("\n");
      if (atEnd) log.scrollTop = log.scrollHeight;
    };
    const fetchPictures = async (v) => {
      if (v === 0 || v === version) return;
      version = v;
      try {
        const answer = await fetch("/live/pictures.json");
        if (!answer.ok) return;
        const content = galleryOf(await answer.json());
        pictures.hidden = false;
        fill(pictures, make("h2", {}, "Pictures"), ...content);
      } catch { version = 0; } // the next epoch brings others
    };
    const source = new EventSource("/live/events");
    const status = (text, lost) => { link.textContent = text; link.className = "badge " + (lost ? "lost" : "running"); };
    source.onopen = () => status("live", false);
    source.onerror = () => status("no connection", true);
    source.addEventListener("snapshot", (e) => {
      const all = JSON.parse(e.data);
      run.records = all.records || [];
      about(all);
      say(all.log || []);
      fetchPictures(all.pictures || 0);
      draw();
    });
    source.addEventListener("about", (e) => about(JSON.parse(e.data)));
    source.addEventListener("record", (e) => {
      const { record, verdict: judged } = JSON.parse(e.data);
      run.records.push(record);
      if (run.records.length > 4000) run.records = run.records.filter((r, i) => i % 2 === 0 || r.inspection || r.probes);
      run.verdict = judged;
      soon();
    });
    source.addEventListener("log", (e) => say([...(run.log || []), JSON.parse(e.data)]));
    source.addEventListener("pictures", (e) => fetchPictures(JSON.parse(e.data)));
  }

  // ---- At rest ------------------------------------------------------------------------------------------------------

  function resultsOf(runs) {
    const last = (run) => run.records[run.records.length - 1];
    const rows = [["state", (r) => stateNames[r.state] || r.state], ["steps", (r) => last(r) ? `${show(last(r).step, "count")} / ${show(r.steps, "count")}` : "–"],
      ["pictures seen", (r) => last(r) ? show(last(r).pictures, "count") : "–"]];
    for (const t of unique(runs.flatMap((r) => r.tasks))) {
      rows.push([t + ", loss", (r) => last(r) && last(r).tasks[t] ? show(last(r).tasks[t].loss, "number") : "–"]);
      rows.push([t + ", accuracy", (r) => last(r) && last(r).tasks[t] ? show(last(r).tasks[t].accuracy, "ratio") : "–"]);
    }
    for (const p of ["knn", "linear"]) {
      rows.push([`${p === "knn" ? "k-NN" : p} probe while training, best`, (r) => show(most(r.records.map((x) => best(x, p)).filter(Number.isFinite)), "ratio")]);
      rows.push([`${p === "knn" ? "k-NN" : p} probe, evaluation`, (r) => {
        const chosen = (r.layers || []).find((l) => l.chosen && l.features === "pretrained" && l.probe === p);
        return chosen ? `${show(chosen.accuracy, "ratio")} (layer ${chosen.layer})` : "–";
      }]);
    }
    const mean = (r) => r.records.length ? r.records.reduce((sum, x) => sum + (x.pictures_per_second || 0), 0) / r.records.length : NaN;
    rows.push(["pictures a second, mean", (r) => show(mean(r), "rate")]);
    return rows.map(([name, of]) => [name, ...runs.map(of)]).filter((row) => row.slice(1).some((v) => v !== "–"));
  }
  function tableOf(caption, head, rows) {
    return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption }, make("table", {}, make("caption", {}, caption),
      make("thead", {}, make("tr", {}, ...head.map((h) => make("th", { scope: "col" }, h)))),
      make("tbody", {}, ...rows.map((r) => make("tr", {}, make("th", { scope: "row" }, r[0]), ...r.slice(1).map((v) => make("td", {}, v)))))));
  }

  function rest(report) {
    const many = report.runs.length > 1;
    const runs = report.runs.map((run, i) => prepare(run, i, many));
    const curves = grid(runs, (all) => [{ group: "Evaluation", title: "Accuracy by layer", about: "of classifiers on frozen features, on the test part; dashed: the same network before training, and bare pixels",
      of: "features, probe", unit: "ratio", layers: true, axis: "layer", series: (run) => layerSeries(all.filter((r) => r === run).length ? [run] : []) }]);
    const head = make("header", {}, make("div", { class: "top" }, make("h1", {}, many ? runs.map((r) => r.name).join(", ") : runs[0].name),
      ...(many ? [] : [make("span", { class: "badge " + runs[0].state }, stateNames[runs[0].state] || runs[0].state)])),
      make("p", { class: "faint" }, report.made), ...(many ? [] : [make("dl", { class: "numbers" }, ...numbersOf(runs[0]))]), ...runs.map((r) => verdictOf(r, many)));
    const parts = [curves.element];
    if (many) {
      parts.unshift(make("section", { "aria-label": "Results" }, make("h2", {}, "Side by side"),
        make("div", { class: "card results" }, tableOf("Results", ["", ...runs.map((r) => r.name)], resultsOf(runs))),
        make("div", { class: "card sheet results" }, report.differences && report.differences.length ?
          tableOf("Where the configurations differ", ["key", ...runs.map((r) => r.name)], report.differences.map((d) => [d.key, ...d.values.map((v) => v || "–")])) :
          make("p", {}, "The configurations do not differ."))));
    }
    for (const run of runs) {
      if (run.gallery) parts.push(make("section", { "aria-label": "Pictures" }, make("h2", {}, many ? "Pictures of " + run.name : "Pictures"), ...galleryOf(run.gallery)));
    }
    for (const run of runs) {
      parts.push(make("section", { "aria-label": "Run" }, make("h2", {}, many ? run.name : "Run"), factsOf(run),
        make("details", {}, make("summary", {}, "Configuration"), make("pre", { tabindex: "0" }, run.config || "")),
        make("details", {}, make("summary", {}, "Log"), make("pre", { tabindex: "0" }, (run.log || []).join("\n")))));
    }
    shell(runs.map((r) => r.name).join(", "), head, make("main", { id: "main", tabindex: "-1" }, ...parts));
    curves.redraw();
  }

  const data = document.getElementById("data");
  if (data) rest(JSON.parse(data.textContent)); else live();
})();
