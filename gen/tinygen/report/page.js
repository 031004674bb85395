// SPDX-License-Identifier: Apache-2.0
"use strict";
const { plan, run, check } = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const esc = (s) => String(s).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const num = (n) => n.toLocaleString("en-US");
const short = (n) => n >= 1e9 ? (n / 1e9).toFixed(2) + " G" : n >= 1e6 ? (n / 1e6).toFixed(2) + " M"
  : n >= 1e4 ? (n / 1e3).toFixed(1) + " k" : num(n);
const bytes = (n) => n < 10240 ? num(n) + " B" : n < 1048576 ? (n / 1024).toFixed(1) + " KB" : (n / 1048576).toFixed(2) + " MB";
const pct = (x) => (x > 0 && x < 0.0005 ? "<0.1" : (100 * x).toFixed(x < 0.1 ? 1 : 0)) + " %";
const ms = (x) => (x < 1 ? (1000 * x).toFixed(0) + " µs" : x.toPrecision(3) + " ms");
const color = (name) => `var(--${name})`;
const counted = run && run.counter ? run.layers.map((l) => l.count) : null;
const unit = run && run.counter;

// -- tooltip ------------------------------------------------------------------------------------
const tip = $("tip");
addEventListener("pointermove", (e) => {
  const at = e.target.closest && e.target.closest("[data-tip]");
  tip.classList.toggle("on", !!at);
  for (const svg of document.querySelectorAll("svg.map")) {
    const inside = at && svg.contains(at);
    svg.classList.toggle("dim", !!inside && at.classList.contains("box"));
  }
  for (const hot of document.querySelectorAll(".hot")) hot.classList.remove("hot");
  if (!at) return;
  at.classList.add("hot");
  tip.innerHTML = at.dataset.tip;
  const w = tip.offsetWidth, h = tip.offsetHeight;
  tip.style.left = Math.min(e.clientX + 14, innerWidth - w - 8) + "px";
  tip.style.top = (e.clientY + 18 + h > innerHeight ? e.clientY - h - 10 : e.clientY + 18) + "px";
});

// -- inputs and outputs: with several, each has a name ------------------------------------------
const inputs = plan.inputs || [plan.input], outputs = plan.outputs || [plan.output];
const endText = (what, end) => `${what} ${end.name ? esc(end.name) + " " : ""}${end.shape.join(" × ")}`;

// -- head ---------------------------------------------------------------------------------------
$("head").innerHTML = `<div class="kind">tinygen report</div>
<h1>${esc(plan.model)} <span class="on">on ${esc(plan.board.name)}</span></h1>
<div class="lead" style="margin:0">${esc(plan.board.title)} · ${esc(plan.board.cpu)} at ${num(plan.board.clock_hz / 1e6)} MHz · ${esc(plan.target)} kernels ·
${[...inputs.map((e) => endText("input", e)), ...outputs.map((e) => endText("output", e))].join(" · ")}</div>`;

const ram = plan.regions.reduce((a, r) => a + r.size, 0);
const packed = plan.arena_bytes === plan.arena_lower_bound_bytes ? "no packing is smaller"
  : plan.regions.every((r) => r.proven) ? "proven smallest in each memory" : `no packing below ${bytes(plan.arena_lower_bound_bytes)}`;
function card(label, value, note, fill, cls = "") {
  const bar = fill === undefined ? "" : `<div class="bar"><i style="width:${Math.min(100, 100 * fill)}%"></i></div>`;
  return `<div class="card"><div class="label">${label}</div><div class="value ${cls}">${value}</div><div class="note">${note}</div>${bar}</div>`;
}
const codeBytes = plan.code ? plan.code.kernels + plan.code.network : 0;
const flashBytes = (plan.resident_bytes ?? plan.const_bytes) + codeBytes;
const cards = [card("Multiply-accumulates", short(plan.macs), `${bytes(plan.params_bytes)} of parameters`)];
if (run && run.total && unit === "cycles")
  cards.push(card("Measured time", ms(1e3 * run.total / plan.board.clock_hz), `${num(run.total)} cycles on ${esc(run.on)}`));
else if (plan.latency_ms !== null)
  cards.push(card("Estimated time", ms(plan.latency_ms), [[plan.cycles, " cycles"], [plan.instructions, " instructions"]].filter(([n]) => n).map(([n, of]) => short(n) + of).join(", ") + " predicted"));
if (plan.energy_uj != null)
  cards.push(card("Estimated energy", plan.energy_uj >= 1000 ? (plan.energy_uj / 1000).toFixed(2) + " mJ" : plan.energy_uj.toFixed(1) + " µJ", esc(plan.board.power.source)));
if (run && run.total && unit === "instructions")
  cards.push(card("Measured", short(run.total), `instructions, exact, in ${esc(run.on)}`));
cards.push(card("Working memory", bytes(plan.arena_bytes), packed, plan.arena_bytes / ram));
cards.push(card(plan.code ? "Flash" : "Weights and tables", bytes(flashBytes), `of ${bytes(plan.board.flash_bytes)}${plan.code ? ", code predicted" : " flash"}`, flashBytes / plan.board.flash_bytes));
if (run) cards.push(card("Self-test", `${run.matching}/${run.samples}`, "samples bit-equal to the promise", undefined, run.passed ? "good" : "bad"));
const accuracy = (run && run.accuracy) ?? (plan.accuracy && plan.accuracy.correct / plan.accuracy.labelled) ?? null;
if (accuracy !== null && !(run && plan.accuracy && run.accuracy === null))
  cards.push(card("Accuracy", pct(accuracy), `on ${run && run.accuracy != null ? run.samples : plan.accuracy.labelled} labelled samples`));
$("cards").innerHTML = cards.join("");

// -- network ------------------------------------------------------------------------------------
{
  const row = 30, top = 30, left = 76, boxW = 236, barX = 426, barW = 330, macX = 850, flashX = 930, schedX = 956, width = 1120;
  const layers = plan.layers, height = top + row * (layers.length + 1) + 14;
  const weight = (i) => (counted && counted[i]) || layers[i].instructions || layers[i].macs;
  const most = Math.max(...layers.map((_, i) => Math.max(weight(i) || 0, layers[i].instructions || 0)), 1);
  const y = (i) => top + row * (i + 1);
  let s = "";
  const groups = [];
  layers.forEach((l, i) => {
    const g = l.name.includes(".") ? l.name.split(".")[0] : null;
    const last = groups[groups.length - 1];
    if (g && last && last.g === g) last.b = i; else groups.push({ g, a: i, b: i });
  });
  for (const g of groups) if (g.g && g.b > g.a)
    s += `<rect x="${left - 12}" y="${y(g.a) - 3}" width="${boxW + 24}" height="${row * (g.b - g.a + 1)}" rx="9" fill="var(--grid)" stroke="var(--line)"/>`;
  s += `<text x="${barX}" y="16" class="soft">${counted ? "measured " + unit + " (outline: predicted)" : layers[0].instructions !== null ? "predicted instructions" : "multiply-accumulates"}</text>
<text x="${macX}" y="16" class="soft" text-anchor="end">MAC</text><text x="${flashX}" y="16" class="soft" text-anchor="end">flash</text>
<text x="${schedX}" y="16" class="soft">how it runs</text>`;
  s += `<rect x="${left}" y="${top}" width="${boxW}" height="20" rx="10" fill="none" stroke="var(--soft)"/><text x="${left + boxW / 2}" y="${top + 14}" text-anchor="middle" class="soft">${inputs.length > 1 ? inputs.length + " inputs: " + inputs.map((e) => esc(e.name)).join(", ") : endText("input", inputs[0]) + " int8"}</text>`;
  let lane = 0;
  layers.forEach((l, i) => {
    const yy = y(i), c = color(l.op), w = weight(i) || 0;
    for (const from of l.from) {
      const y0 = from < 0 ? top + 20 : y(from) + 22;
      if (from === i - 1) s += `<path d="M${left + boxW / 2} ${y0} V${yy}" stroke="var(--soft)" fill="none"/>`;
      else {
        const x = left - 16 - 12 * (lane++ % 3);
        s += `<path d="M${left} ${y0 - 11} H${x + 8} Q${x} ${y0 - 11} ${x} ${y0 - 3} V${yy + 3} Q${x} ${yy + 11} ${x + 8} ${yy + 11} H${left - 5}" stroke="var(--soft)" stroke-width="1.4" fill="none"/><path d="M${left - 6} ${yy + 7} l6 4 l-6 4 z" fill="var(--soft)"/>`;
      }
    }
    const weights = l.constants.reduce((a, k) => a + k.bytes, 0);
    const text = `<b>${esc(l.name)}</b> (${esc(l.op)})${l.macs ? "<br>" + num(l.macs) + " MAC" : ""}${l.instructions !== null ? "<br>" + num(l.instructions) + " instructions predicted" : ""}${counted && counted[i] != null ? "<br>" + num(counted[i]) + " " + unit + " measured" : ""}${weights ? "<br>" + bytes(weights) + " in flash" : ""}${l.schedule ? "<br>" + esc(l.schedule) : ""}`;
    s += `<g data-tip="${esc(text)}"><rect x="${left}" y="${yy}" width="${boxW}" height="22" rx="6" fill="${c}"/><text x="${left + 11}" y="${yy + 15}" class="inbox" style="font-size:12px">${esc(l.name)}</text><text x="${left + boxW - 10}" y="${yy + 15}" text-anchor="end" class="inbox" style="opacity:.85">${esc(l.op)}</text>
<rect x="${barX}" y="${yy + 3}" width="${Math.max(1.5, barW * w / most)}" height="16" rx="3" fill="${c}" opacity=".85"/>
${counted && l.instructions !== null ? `<rect x="${barX}" y="${yy + 3}" width="${Math.max(1.5, barW * l.instructions / most)}" height="16" rx="3" fill="none" stroke="var(--ink)" stroke-opacity=".55"/>` : ""}
<text x="${barX - 10}" y="${yy + 15}" text-anchor="end" style="font-variant-numeric:tabular-nums">${w ? short(w) : ""}</text>
<text x="${macX}" y="${yy + 15}" text-anchor="end" class="soft">${l.macs ? short(l.macs) : ""}</text>
<text x="${flashX}" y="${yy + 15}" text-anchor="end" class="soft">${weights ? bytes(weights) : ""}</text>
<text x="${schedX}" y="${yy + 15}" class="soft tiny">${esc(l.schedule)}</text></g>`;
  });
  $("network").innerHTML = `<svg viewBox="0 0 ${width} ${height}" style="min-width:760px">${s}</svg>`;
}

// -- memory over time ---------------------------------------------------------------------------
const kinds = [["activation", "activations"], ["q", "queries"], ["k", "keys"], ["v", "values"], ["context", "context"], ["sums", "int32 sums"], ["hidden", "feed-forward block"], ["scratch", "kernel scratch"]];
let byTime = plan.instructions !== null;
function memory() {
  const T = plan.ticks, layers = plan.layers, n = layers.length;
  const cost = layers.map((l, i) => (byTime ? (counted && counted[i]) || l.instructions || l.macs || 1 : 1));
  const total = cost.reduce((a, b) => a + b, 0), least = byTime ? total / 45 : 0;
  const wide = cost.map((c) => Math.max(c, least)), sum = wide.reduce((a, b) => a + b, 0);
  const starts = [0];
  wide.forEach((w) => starts.push(starts[starts.length - 1] + w / sum));
  const L = 70, R = 14, W = 1120, plot = W - L - R;
  const x = (tick) => { const i = Math.min(n, Math.floor(tick / T)); return L + plot * (i >= n ? 1 : starts[i] + (starts[i + 1] - starts[i]) * (tick - i * T) / T); };
  let html = "";
  for (const r of plan.regions) {
    const mine = plan.buffers.filter((b) => b.region === r.name);
    const H = 300, top = 8, axis = 96, liveH = 64, gap = 34;
    const y = (a) => top + H - H * a / r.used;
    let s = "";
    const step = [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144].find((k) => r.used / k <= 8) || r.used / 8;
    for (let a = 0; a <= r.used; a += step)
      s += `<path d="M${L} ${y(a)} H${W - R}" stroke="var(--grid)"/><text x="${L - 8}" y="${y(a) + 4}" text-anchor="end" class="soft tiny">${a >= 1024 && step >= 1024 ? a / 1024 + " KB" : a}</text>`;
    layers.forEach((l, i) => {
      const x0 = x(i * T), x1 = x((i + 1) * T);
      s += `<path d="M${x0} ${top} V${top + H}" stroke="var(--grid)"/>`;
      const flat = x1 - x0 > 6.4 * l.name.length + 6;
      if (x1 - x0 > 13) s += `<text transform="translate(${(x0 + x1) / 2 + 3} ${top + H + 13}) rotate(${flat ? 0 : -38})" text-anchor="${flat ? "middle" : "end"}" class="soft tiny">${esc(l.name)}</text>`;
    });
    for (const b of [...mine].sort((p, q) => q.size - p.size)) {
      const x0 = x(b.first), w = Math.max(1.5, x(b.last + 1) - x0), h = Math.max(1, H * b.size / r.used);
      const from = layers[Math.floor(b.first / T)].name, to = layers[Math.min(n - 1, Math.floor(b.last / T))].name;
      const text = `<b>${esc(b.name)}</b><br>${num(b.size)} bytes at ${num(b.offset)}<br>${from === to ? "within " + esc(from) : esc(from) + " → " + esc(to)}<br>traffic about ${bytes(b.traffic)} an inference`;
      s += `<rect class="box" data-tip="${esc(text)}" x="${x0}" y="${y(b.offset + b.size)}" width="${w}" height="${h}" rx="${h > 8 && w > 8 ? 3 : 0}" fill="${color(b.kind)}" stroke="var(--card)" stroke-width="1"/>`;
      if (h > 15 && w > 6.6 * b.name.length + 12) s += `<text x="${x0 + 7}" y="${y(b.offset + b.size) + h / 2 + 4}" class="inbox">${esc(b.name)}</text>`;
    }
    // live bytes, tick by tick
    const base = top + H + axis + liveH;
    let path = `M${L} ${base}`, peak = 0, at = 0;
    for (let t = 0; t < n * T; t++) {
      const live = mine.reduce((a, b) => a + (b.first <= t && t <= b.last ? Math.ceil(b.size / 8) * 8 : 0), 0);
      if (live > peak) { peak = live; at = t; }
      const yy = base - liveH * live / r.used;
      path += ` L${x(t)} ${yy} L${x(t + 1)} ${yy}`;
    }
    s += `<path d="${path} L${W - R} ${base} Z" fill="var(--accent)" opacity=".22"/><path d="${path}" fill="none" stroke="var(--accent)"/>
<path d="M${L} ${base - liveH} H${W - R}" stroke="var(--accent)" stroke-dasharray="4 4"/><text x="${L - 8}" y="${base - liveH / 2}" text-anchor="end" class="soft tiny">live bytes</text>
<circle cx="${(x(at) + x(at + 1)) / 2}" cy="${base - liveH * peak / r.used}" r="3.5" fill="var(--accent)"/>
<text x="${Math.min(x(at) + 8, W - 330)}" y="${base + 16}" class="soft tiny">peak ${num(peak)} bytes in ${esc(layers[Math.floor(at / T)].name)}; dashed: the arena's size</text>`;
    html += `<div class="figure region"><h3>${esc(r.name)} <span>${num(r.used)} of ${num(r.size)} bytes (${pct(r.used / r.size)}) · ${r.used === r.lower_bound ? "equal to the largest sum of live buffers: no packing is smaller" : r.proven ? "proven smallest" : "lower bound " + num(r.lower_bound)}</span></h3><svg class="map" viewBox="0 0 ${W} ${base + gap}" style="min-width:820px">${s}</svg></div>`;
  }
  $("memory").innerHTML = html || '<div class="panel">This network needs no working memory.</div>';
  const used = new Set(plan.buffers.map((b) => b.kind));
  $("maptools").innerHTML = `<button aria-pressed="${!byTime}" id="eq">equal steps</button><button aria-pressed="${byTime}" id="bt">by time</button>` +
    kinds.filter(([k]) => used.has(k)).map(([k, t]) => `<span class="key"><i style="background:${color(k)}"></i>${t}</span>`).join("");
  $("eq").onclick = () => { byTime = false; memory(); };
  $("bt").onclick = () => { byTime = true; memory(); };
}
memory();

// -- attention ----------------------------------------------------------------------------------
{
  const same = new Map();
  const isAttention = (name) => plan.layers.some((l) => l.name === name && l.op === "attention");
  for (const [name, a] of Object.entries(plan.alternatives)) {
    if (a.schedules.length < 2 && !isAttention(name)) continue; // nothing was to choose
    const key = JSON.stringify(a);
    same.has(key) ? same.get(key).names.push(name) : same.set(key, { ...a, names: [name] });
  }
  if (!same.size) $("attention-section").remove();
  const tint = { whole: "v", "depth-first": "linear", "head-streaming": "sums", "row-blocks": "hidden" };
  $("attention") && ($("attention").innerHTML = [...same.values()].map((g) => {
    const points = g.schedules, chosen = points.find((p) => p.chosen);
    let chart = "";
    if (points[0].instructions !== null && points.length > 1) {
      const W = 560, H = 330, L = 78, B = 46, R = 34, T = 14;
      const xs = points.map((p) => p.bytes), ys = points.map((p) => p.instructions);
      const x0 = 0, x1 = Math.max(...xs) * 1.06, y0 = Math.min(...ys) * 0.985, y1 = Math.max(...ys) * 1.02;
      const X = (v) => L + (W - L - R) * (v - x0) / (x1 - x0), Y = (v) => T + (H - T - B) * (1 - (v - y0) / (y1 - y0));
      let s = "";
      for (let k = 0; k <= 4; k++) {
        const vx = x0 + (x1 - x0) * k / 4, vy = y0 + (y1 - y0) * k / 4;
        s += `<path d="M${L} ${Y(vy)} H${W - R}" stroke="var(--grid)"/><text x="${L - 8}" y="${Y(vy) + 4}" text-anchor="end" class="soft tiny">${short(Math.round(vy))}</text><text x="${X(vx)}" y="${H - B + 18}" text-anchor="middle" class="soft tiny">${bytes(Math.round(vx))}</text>`;
      }
      const front = points.filter((p) => !points.some((q) => q.bytes < p.bytes && q.instructions <= p.instructions)).sort((a, b) => a.bytes - b.bytes);
      let d = "";
      front.forEach((p, i) => { d += i ? ` H${X(p.bytes)} V${Y(p.instructions)}` : `M${X(p.bytes)} ${Y(p.instructions)}`; });
      s += `<path d="${d}" fill="none" stroke="var(--soft)" stroke-dasharray="3 4"/>`;
      for (const p of points)
        s += `<circle class="pt" data-tip="${esc(`<b>${esc(p.schedule)}</b><br>${num(p.bytes)} bytes, ${num(p.instructions)} instructions`)}" cx="${X(p.bytes)}" cy="${Y(p.instructions)}" r="${p.chosen ? 7.5 : 5}" fill="${color(tint[p.kind])}" ${p.chosen ? 'stroke="var(--ink)" stroke-width="2.5"' : 'opacity=".8"'}/>`;
      const cx = X(chosen.bytes), right = cx > W * 0.6;
      s += `<text x="${cx + (right ? -13 : 13)}" y="${Y(chosen.instructions) - 9}" text-anchor="${right ? "end" : "start"}" style="font-weight:650">chosen</text>`;
      s += `<text x="${(W + L) / 2}" y="${H - 8}" text-anchor="middle" class="soft tiny">peak working memory of the layer</text><text transform="translate(13 ${H / 2 - 14}) rotate(-90)" text-anchor="middle" class="soft tiny">instructions predicted</text>`;
      chart = `<div class="panel"><div class="tools" style="margin:0 0 4px">${Object.entries(tint).filter(([k]) => points.some((p) => p.kind === k)).map(([k, c]) => `<span class="key"><i style="background:${color(c)}"></i>${k}</span>`).join("")}<span>dashed: best for its memory</span></div><svg viewBox="0 0 ${W} ${H}">${s}</svg></div>`;
    }
    const best = Math.min(...points.map((p) => p.instructions ?? 0));
    const pareto = points.filter((p) => p.chosen || !points.some((q) => q !== p && q.bytes <= p.bytes && (q.instructions ?? 0) <= (p.instructions ?? 0)));
    const smallest = Math.min(...pareto.map((p) => p.bytes));
    let above = Infinity;
    const list = (pareto.length > 1 ? pareto : points).filter((p) => {
      const keep = p.chosen || p.bytes === smallest || p.bytes < 0.93 * above;
      if (keep) above = p.bytes;
      return keep;
    });
    const rows = list.map((p) => `<tr class="${p.chosen ? "chosen" : ""}"><td>${esc(p.schedule)}</td><td class="num">${num(p.bytes)} B</td><td class="num">${p.instructions === null ? "–" : num(p.instructions)}</td><td class="num">${p.instructions === null ? "" : p.instructions === best ? "fastest" : "+" + (100 * (p.instructions / best - 1)).toFixed(1) + " %"}</td></tr>`).join("");
    const layer = plan.layers.find((l) => l.name === g.names[0]);
    const forms = (plan.fusion && plan.fusion[g.names[0]]) || [];
    const what = forms.some((f) => f.instructions !== null) ? "instructions" : "cycles";
    const weights = forms.length ? `<div class="panel" style="margin-top:14px"><table><tr><th>weights</th><th class="num">parameters</th><th class="num">${what}</th><th class="num">mean error of the layer</th><th></th></tr>${forms.map((f) => `<tr class="${f.chosen ? "chosen" : ""}"><td>${esc(f.fusion)}</td><td class="num">${num(f.params)}</td><td class="num">${f[what] === null ? "–" : num(f[what])}</td><td class="num">${f.error_lsb === null ? "" : f.error_lsb.toFixed(2) + " LSB"}</td><td>${esc(f.why)}</td></tr>`).join("")}</table></div>` : "";
    return `<p class="why"><b>${esc(g.names.length > 3 ? g.names[0] + " and " + (g.names.length - 1) + " like it" : g.names.join(", "))}</b>: ${esc(layer.schedule || chosen.schedule)}. ${esc(g.why)}</p>
<div class="grid2">${chart}<div class="panel"><table><tr><th>${pareto.length > 1 ? "best for their memory" : "schedule"}</th><th class="num">memory</th><th class="num">instructions</th><th></th></tr>${rows}</table></div></div>${weights}`;
  }).join("<br>"));
}

// -- flash --------------------------------------------------------------------------------------
{
  const parts = plan.layers.map((l) => ({ name: l.name, op: l.op, constants: l.constants, bytes: l.constants.reduce((a, c) => a + c.bytes, 0) })).filter((p) => p.bytes);
  if (plan.code) {
    parts.push({ name: "kernels", op: "scratch", constants: [], bytes: plan.code.kernels });
    parts.push({ name: "network", op: "scratch", constants: [], bytes: plan.code.network });
  }
  const total = parts.reduce((a, p) => a + p.bytes, 0), W = 1120;
  let s = "", x = 0;
  for (const p of parts) {
    const w = W * p.bytes / total;
    const text = `<b>${esc(p.name)}</b> ${num(p.bytes)} bytes (${pct(p.bytes / total)})<br>` + p.constants.map((c) => `${esc(c.role)}: ${num(c.bytes)}`).join("<br>");
    s += `<g data-tip="${esc(text)}"><rect x="${x}" y="0" width="${Math.max(0.5, w - 1.5)}" height="42" rx="${w > 8 ? 4 : 0}" fill="${color(p.op)}"/>${w > 7 * p.name.length + 12 ? `<text x="${x + 9}" y="25" class="inbox" style="font-size:12px">${esc(p.name)}</text>` : ""}</g>`;
    x += w;
  }
  const code = run && run.flash_bytes ? ` The firmware's image took ${bytes(run.flash_bytes)} in all: this, the rest of its code, and the self-test's samples.` : "";
  const beyond = plan.staging ? `${plan.staging.layers.map((l) => esc(l.step)).join(", ")} lie in L3 and come to a buffer of ${num(plan.staging.size)} bytes, ${plan.staging.slots} at a time; ${num(plan.resident_bytes)} bytes of ${bytes(plan.board.flash_bytes)} are used with it. ` : "";
  const predicted = plan.code ? `${num(plan.code.kernels)} of kernels and ${num(plan.code.network)} of the network's code are predicted from sections measured with ${esc(plan.code.compiler)}${plan.code.code_region ? `; ${num(plan.code.resident)} bytes of kernels are copied to ${esc(plan.code.code_region)} at boot` : ""}. The network takes at most ${num(plan.code.stack)} bytes of stack.` : "";
  $("flash").innerHTML = `<svg viewBox="0 0 ${W} 44">${s}</svg><p class="lead" style="margin:10px 0 0">${plan.staging ? num(total) + " bytes" : `${num(total)} bytes of ${bytes(plan.board.flash_bytes)} (${pct(total / plan.board.flash_bytes)})`}: ${num(plan.const_bytes)} of weights, biases, multipliers and tables. ${beyond}${predicted}${code}</p>`;
}

// -- accuracy -----------------------------------------------------------------------------------
if (check) {
  const c = check, share = (x) => (100 * x).toFixed(1) + " %";
  const both = c.accuracy_onnx != null && c.accuracy_int != null;
  const rows = [["samples", num(c.samples)], ["same answer (top 1)", share(c.top1_agreement)], ["mean difference of a logit", c.mean_abs_lsb.toFixed(3) + " LSB"], ["largest difference", c.max_abs_lsb.toFixed(2) + " LSB"]];
  if (both) rows.push(["right answers, onnxruntime", share(c.accuracy_onnx)], ["right answers, this firmware", share(c.accuracy_int)]);
  for (const e of c.outputs || []) {
    rows.push([`${esc(e.name)}: same answer`, share(e.top1_agreement)], [`${esc(e.name)}: mean difference`, e.mean_abs_lsb.toFixed(3) + " LSB"]);
    if (e.accuracy_int != null) rows.push([`${esc(e.name)}: right answers, this firmware`, share(e.accuracy_int)]);
  }
  $("accuracy").innerHTML = `<p class="lead">The integer model that the firmware computes, bit for bit, against the model in onnxruntime.</p><div class="panel"><table>${rows.map(([k, v]) => `<tr><td>${k}</td><td class="num">${v}</td></tr>`).join("")}</table></div>`;
  $("fidelity").hidden = false;
}

// -- measured -----------------------------------------------------------------------------------
{
  const model = plan.cost_model;
  const caveat = model ? `<p class="lead">Predicted instructions come from a model fitted to exact counts in QEMU${Object.keys(model.error.instructions).length ? " (largest error on held-back layers: " + Object.entries(model.error.instructions).filter(([k]) => plan.layers.some((l) => l.op === k)).map(([k, v]) => `${k} ${pct(v)}`).join(", ") + ")" : ""}; estimated cycles take the pipeline model "${esc(model.cycle_model)}" and the waits for memory that the board's file states, not silicon.</p>` : '<p class="lead">This core has no cost model yet, so nothing is predicted.</p>';
  if (!counted) {
    $("measured").innerHTML = caveat + `<div class="panel">Not run yet. <code>tinygen run</code> on this project fills this in${run ? " where the place it runs counts instructions" : ""}.</div>`;
  } else {
    const same = unit === "instructions";
    const rows = plan.layers.map((l, i) => {
      const off = same && l.instructions && counted[i] ? l.instructions / counted[i] - 1 : null;
      return `<tr><td>${esc(l.name)}</td><td>${esc(l.op)}</td><td class="num">${l.instructions === null ? "–" : num(l.instructions)}</td><td class="num">${counted[i] == null ? "–" : num(counted[i])}</td><td class="num">${off === null ? "" : (off >= 0 ? "+" : "−") + (100 * Math.abs(off)).toFixed(1) + " %"}</td><td class="num">${l.macs && counted[i] ? (counted[i] / l.macs).toFixed(2) : ""}</td></tr>`;
    }).join("");
    const off = same && plan.instructions ? plan.instructions / run.total - 1 : null;
    $("measured").innerHTML = caveat + `<div class="panel"><table><tr><th>layer</th><th>operator</th><th class="num">predicted instructions</th><th class="num">measured ${unit} (${esc(run.on)})</th><th class="num">off by</th><th class="num">${unit} a MAC</th></tr>${rows}<tr class="total"><td>total</td><td></td><td class="num">${plan.instructions === null ? "–" : num(plan.instructions)}</td><td class="num">${num(run.total)}</td><td class="num">${off === null ? "" : (off >= 0 ? "+" : "−") + (100 * Math.abs(off)).toFixed(1) + " %"}</td><td class="num">${(run.total / plan.macs).toFixed(2)}</td></tr></table></div>`;
  }
}

// -- provenance ---------------------------------------------------------------------------------
{
  const facts = [["Model hash (SHA-256)", `<code>${esc(plan.model_hash || "–")}</code>`], ["Generator", "tinygen " + esc(plan.generator || "")]];
  if (plan.template) facts.push(["Template", esc(plan.template)]);
  for (const [what, ends] of [["Input", inputs], ["Output", outputs]])
    for (const e of ends) facts.push([e.name ? `${what} ${esc(e.name)}` : what, `int8, scale ${e.scale}, zero point ${e.zero_point}`]);
  if (run) facts.push(["Last run", `on ${esc(run.on)}, compiled with ${esc(run.compiler)}${run.stack_bytes ? ", stack " + bytes(run.stack_bytes) : ""}`]);
  for (const n of plan.notes) facts.push(["Note", esc(n)]);
  $("provenance").innerHTML = `<div class="panel"><dl>${facts.map(([k, v]) => `<dt>${k}</dt><dd>${v}</dd>`).join("")}</dl></div>`;
}
