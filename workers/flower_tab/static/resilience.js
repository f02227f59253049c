// The tab Resilience: asks for the newest snapshot once a second and shows it. Everything that comes from the ledger is
// put into the page as text, never as markup.
(function () {
  "use strict";

  const page = document.getElementById("resilience");
  const base = page.dataset.base;
  const EVERY = 1000;
  const PATIENCE = 8000;
  const SVG = "http://www.w3.org/2000/svg";
  let lettersShown = -1;
  let writable = false;

  const at = (id) => document.getElementById(id);
  const put = (id, text) => { at(id).textContent = text; };
  const count = (number) => (number === null || number === undefined ? "—" : Math.round(number).toLocaleString("en"));

  function span(seconds) {
    if (seconds === null || seconds === undefined) return "—";
    const whole = Math.floor(seconds);
    if (whole < 1) return seconds < 0.05 ? "0 s" : seconds.toFixed(1) + " s";
    if (whole < 60) return whole + " s";
    if (whole < 3600) return Math.floor(whole / 60) + " min " + (whole % 60) + " s";
    if (whole < 86400) return Math.floor(whole / 3600) + " h " + Math.floor((whole % 3600) / 60) + " min";
    return Math.floor(whole / 86400) + " d " + Math.floor((whole % 86400) / 3600) + " h";
  }

  function bytes(size) {
    if (size < 1024) return size + " bytes";
    if (size < 1048576) return (size / 1024).toFixed(1) + " KiB";
    return (size / 1048576).toFixed(1) + " MiB";
  }

  function token() {
    const found = document.cookie.match(/(?:^|;)\s*_xsrf=([^;]+)/);
    return found ? decodeURIComponent(found[1]) : "";
  }

  async function ask(path, options) {
    const reply = await fetch(base + path, {
      credentials: "same-origin", redirect: "error", signal: AbortSignal.timeout(PATIENCE), ...options,
    });
    const type = reply.headers.get("Content-Type") || "";
    if (!type.includes("json")) throw new Error(reply.status === 403 ? "Not allowed." : "Flower answers with " + reply.status + ".");
    const data = await reply.json();
    if (data.error) throw new Error(data.error);
    return data;
  }

  function toast(text, level) {
    const shown = document.createElement("div");
    shown.className = "tl-toast";
    shown.dataset.level = level;
    shown.textContent = text;
    at("tl-toasts").append(shown);
    setTimeout(() => shown.remove(), level === "error" ? 12000 : 6000);
  }

  // ---- tables: a row is a list of cells; a cell is text, or an element

  function rows(id, lines, empty) {
    const body = at(id).tBodies[0];
    const wanted = lines.length || !empty ? lines : [[empty]];
    // What looks the same stays, so that nobody's click meets a button that was replaced under it.
    const look = JSON.stringify(wanted.map((cells) => cells.map((cell) => (cell instanceof Node ? cell.dataset.look : String(cell)))));
    if (body.dataset.look === look) return;
    body.dataset.look = look;
    body.replaceChildren(...wanted.map((cells) => {
      const row = document.createElement("tr");
      cells.forEach((cell) => {
        const box = row.insertCell();
        if (cell instanceof Node) box.append(cell); else box.textContent = cell;
        if (cell instanceof Node && cell.dataset.buttons) box.className = "tl-actions";
      });
      if (!lines.length) row.cells[0].colSpan = at(id).tHead.rows[0].cells.length;
      return row;
    }));
  }

  function badge(text, kind) {
    const shown = document.createElement("span");
    shown.className = "badge text-bg-" + kind;
    shown.textContent = text;
    shown.dataset.look = text + kind;
    return shown;
  }

  function link(text, path) {
    const shown = document.createElement("a");
    shown.href = base + path;
    shown.textContent = text;
    shown.dataset.look = text;
    return shown;
  }

  function buttons(...made) {
    const box = document.createElement("span");
    box.dataset.buttons = "1";
    box.dataset.look = made.map((one) => one.textContent + one.disabled).join();
    box.append(...made);
    return box;
  }

  function button(text, kind, act, needsLogin) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "btn btn-sm btn-outline-" + kind;
    made.textContent = text;
    made.disabled = needsLogin && !writable;
    if (made.disabled) made.title = "needs a login";
    made.addEventListener("click", act);
    return made;
  }

  // ---- changes

  async function change(kind, name, more) {
    try {
      const headers = {"Content-Type": "application/json", "X-XSRFToken": token()};
      const body = JSON.stringify({name: name, ...more});
      const answer = await ask("/change/" + kind, {method: "POST", headers: headers, body: body});
      toast(answer.done, "done");
    } catch (error) {
      toast(error.message, "error");
    }
    lettersShown = -1;
    setTimeout(refresh, 150);
  }

  function confirmed(title, go, kind, name, options) {
    const dialog = at("tl-dialog");
    put("tl-dialog-title", title);
    put("tl-dialog-go", go);
    at("tl-dialog-mode-row").hidden = !options.mode;
    at("tl-dialog-for-row").hidden = !options.until;
    at("tl-dialog-reason").required = Boolean(options.reason);
    at("tl-dialog-reason").value = "";
    dialog.returnValue = "";
    dialog.onclose = () => {
      if (dialog.returnValue !== "go") return;
      const more = {reason: at("tl-dialog-reason").value};
      if (options.mode) more.mode = at("tl-dialog-mode").value;
      if (options.until) more.for = Number(at("tl-dialog-for").value);
      change(kind, name, more);
    };
    dialog.showModal();
    at("tl-dialog-reason").focus();
  }

  async function explain(component) {
    try {
      const answer = await ask("/explain?component=" + encodeURIComponent(component));
      put("tl-explained", answer.text);
      at("tl-explained").hidden = false;
    } catch (error) {
      toast(error.message, "error");
    }
  }

  // ---- parts of the page

  function chart(id, points, lines) {
    const most = Math.max(1, ...points.flatMap((point) => lines.map((line) => point[line.column])));
    const newest = points.length ? points[points.length - 1][0] : 0;
    const width = Math.min(600, Math.max(60, points.length ? newest - points[0][0] : 0));
    at(id).replaceChildren(...lines.map((line) => {
      const drawn = document.createElementNS(SVG, "polyline");
      drawn.setAttribute("class", "tl-" + line.name);
      drawn.setAttribute("points", points.map((point) => {
        const x = 600 * (1 - (newest - point[0]) / width);
        return x.toFixed(1) + "," + (135 - 130 * point[line.column] / most).toFixed(1);
      }).join(" "));
      return drawn;
    }));
    put(id + "-scale", "highest " + count(most) + "; the last " + span(width));
  }

  function showNumbers(data) {
    const waiting = data.waiting, state = data.state, points = data.points;
    const recent = points.slice(-5);
    const rate = recent.reduce((sum, point) => sum + point[1] + point[2] + point[3], 0) / (recent.length || 1);
    put("tl-rate", points.length ? count(rate) + " /s" : "—");
    put("tl-backlog", waiting ? count(waiting.backlog) : "—");
    put("tl-parked", waiting ? count(waiting.parked) : "—");
    put("tl-oldest", waiting && waiting.oldest_age !== null ? span(waiting.oldest_age) : "—");
    put("tl-dead", waiting ? count(waiting.dead) : "—");
    put("tl-slot", state ? count(state.slot) : "—");
    put("tl-lag", state ? count(state.finality_lag) + " slots" : "—");
    put("tl-failed", state ? count(state.failed) : "—");
  }

  const SEVERITY = {critical: "danger", warning: "warning"};
  const STATE = {closed: "success", open: "danger", half_open: "warning"};

  function showAlerts(data) {
    rows("tl-alerts", data.alerts.map((alert) => [
      alert.name, badge(alert.severity, SEVERITY[alert.severity] || "secondary"), alert.summary, alert.detail,
    ]), "None.");
  }

  function showBreakers(data) {
    rows("tl-breakers", data.breakers.map((one) => {
      const why = one.override ? "overruled (" + one.override + ") by " + (one.override_by || "somebody") +
        (one.override_ends_in === null ? "" : ", " + span(one.override_ends_in) + " more") + ": " + one.override_reason : one.reason;
      return [
        one.name, badge(one.state, STATE[one.state]), one.for_seconds === null ? "—" : span(one.for_seconds),
        count(one.failures_in_a_row), count(one.trips), count(one.rejected),
        one.state === "open" ? (one.override ? "—" : span(one.retry_in)) : one.state === "half_open" ? one.probes_in_flight + " in flight" : "—",
        why,
        buttons(
          button("Open", "danger", () => confirmed("Open the breaker " + one.name + ": every call is refused, work is parked",
            "Open it", "breaker-open", one.name, {reason: true, until: true}), true),
          button("Close", "warning", () => confirmed("Close the breaker " + one.name + ", whatever happens",
            "Close it", "breaker-close", one.name, {reason: true, until: true}), true),
          button("Reset", "primary", () => change("breaker-reset", one.name, {reason: "reset in Flower"}), true),
        ),
      ];
    }), "No breaker has been used yet.");
  }

  const MODE = {NORMAL: "success", READ_ONLY: "warning", ESSENTIAL_ONLY: "danger", OFFLINE: "danger"};

  function showModes(data) {
    const modes = data.modes;
    if (!modes) return rows("tl-modes", [], "Not known.");
    const line = (name, mode, operation) => [name, badge(mode, MODE[mode] || "secondary"), buttons(
      button("Set", "warning", () => confirmed("Set a mode of " + name, "Set it", "mode-set", name, {mode: true, reason: true, until: true}), true),
      ...(operation ? [button("Explain", "secondary", () => explain(operation), false)] : []),
    )];
    rows("tl-modes", [line("system", modes.system), ...Object.entries(modes.components).map(([name, one]) => line(name, one.mode, name))]);
    rows("tl-entries", modes.entries.filter((entry) => entry.mode !== "NORMAL" || !entry.automatic).map((entry) => {
      const scope = entry.operation ? entry.component + "/" + entry.operation : entry.component;
      return [
        scope, badge(entry.mode, MODE[entry.mode] || "secondary"), entry.automatic ? "rule " + entry.rule : entry.actor || "somebody",
        entry.reason || "—", entry.expires_in === null ? "—" : span(entry.expires_in),
        entry.automatic ? "" : buttons(button("Clear", "primary", () => change("mode-clear", scope, {reason: "cleared in Flower"}), true)),
      ];
    }), "Nothing is set by anybody.");
  }

  function showWorkers(data) {
    rows("tl-workers", data.workers.map((one) => [
      one.name, one.queues.length ? one.queues.join(", ") : badge("nothing", "danger"), one.epoch === null ? "—" : one.epoch, one.pid, one.why_not,
    ]), "No worker lives.");
  }

  function list(id, pairs) {
    at(id).replaceChildren(...pairs.filter((pair) => pair).flatMap(([name, value]) => {
      const term = document.createElement("dt"), told = document.createElement("dd");
      term.textContent = name;
      told.textContent = value;
      return [term, told];
    }));
  }

  function showCheckpoints(data) {
    const {checkpoint, scrub, restore} = data.notes;
    const now = data.waiting ? data.waiting.at : 0;
    const ago = (note) => (now ? span(Math.max(0, now - note.at)) + " ago" : "some time ago");
    list("tl-checkpoints", [
      checkpoint ? ["Newest", checkpoint.id + ", " + checkpoint.kind] : ["Newest", "none since this Redis has the ledger"],
      checkpoint ? ["Written", ago(checkpoint) + ", in " + span(checkpoint.seconds)] : null,
      checkpoint ? ["Size", bytes(checkpoint.bytes) + ", up to slot " + count(checkpoint.slot)] : null,
      scrub ? ["Verified", scrub.checkpoints + " good, " + scrub.bad + " bad, with " + count(scrub.blocks) + " blocks, " + ago(scrub)]
        : ["Verified", "not read back yet; each is verified before it is restored"],
      restore ? ["Last restore", ago(restore) + ", epoch " + restore.epoch + (restore.checkpoint ? ", from " + restore.checkpoint : ", from the genesis")]
        : ["Last restore", "none that this Redis knows of"],
      data.restoring ? ["Restoring now", data.progress ? data.progress.done + " of " + data.progress.total + " " + data.progress.phase : "nobody has begun yet"] : null,
      data.waiting && data.waiting.checkpointing ? ["Writing one now", "yes"] : null,
    ]);
  }

  function showServer(data) {
    const {server, state, waiting} = data;
    list("tl-server", [
      ["Redis", data.address + (server ? ", version " + server.version + ", up " + span(server.uptime) : "")],
      server ? ["Memory", bytes(server.used) + (server.limit ? " of " + bytes(server.limit) + ", " + server.policy : ", no maxmemory")] : null,
      server ? ["Append-only file", server.aof ? "on" : "off: what is processed is lost with Redis"] : null,
      server && server.refuses ? ["Refuses writes", server.refuses] : null,
      waiting ? ["Newest block", waiting.block_age === null ? "not known" : span(waiting.block_age) + " ago"] : null,
      state ? ["Ledger", data.ledger + ", id " + state.ledger_id + ", epoch " + state.epoch] : ["Ledger", data.ledger],
      state ? ["Final", "up to slot " + count(state.finalized) + "; " + count(state.unsealed) + " outcomes have no block yet"] : null,
      state ? ["Outcomes", count(state.processed) + " ok, " + count(state.failed) + " failed on chain, " + count(state.refused) + " refused"] : null,
      state ? ["Accepted", count(state.accepted)] : null,
      Object.keys(data.messages).length ? ["In the broker", Object.entries(data.messages).map(([queue, held]) => queue + " " + count(held)).join(", ")] : null,
    ]);
  }

  async function showLetters(data) {
    const there = data.waiting ? data.waiting.dead : -1;
    if (there === lettersShown || there < 0) return;
    lettersShown = there;
    try {
      const found = await ask("/letters");
      put("tl-letters-count", found.count > found.letters.length ? "(" + found.letters.length + " of " + count(found.count) + ")" : "");
      rows("tl-letters", found.letters.map((one) => [
        one.kind === "transaction" ? link(one.id, "/transaction?signature=" + encodeURIComponent(one.id)) : one.id,
        one.kind, one.reason, one.attempts, one.at ? new Date(one.at * 1000).toISOString().slice(0, 19) + "Z" : "—",
        buttons(
          button("Replay", "primary", () => change("letter-replay", one.id, {}), true),
          button("Drop", "danger", () => confirmed("Drop " + one.id + " for good", "Drop it", "letter-drop", one.id, {}), true),
        ),
      ]), "None.");
    } catch (error) {
      lettersShown = -1;
      toast(error.message, "error");
    }
  }

  function show(data) {
    const told = data.diagnosis;
    const stuck = data.age > 5;
    at("tl-banner").dataset.level = stuck ? "stopped" : told.level;
    put("tl-sentence", stuck ? "This page is " + span(data.age) + " behind: Redis does not answer Flower. Then it was: " + told.sentence : told.sentence);
    put("tl-fix", told.fix);
    document.querySelectorAll(".tl-card").forEach((card) => card.classList.remove("tl-here"));
    const where = told.level !== "ok" && document.getElementById("tl-part-" + (told.where === "ledger" ? "server" : told.where));
    if (where) where.classList.add("tl-here");
    put("tl-age", span(data.age) + " old");
    at("tl-live").className = "status-dot" + (told.level === "ok" && !stuck ? " status-dot-live" : "");
    if (writable !== !data.why_read_only) {
      writable = !data.why_read_only;
      lettersShown = -1;
    }
    showNumbers(data);
    chart("tl-chart-rate", data.points, [{name: "ok", column: 1}, {name: "failed", column: 2}, {name: "refused", column: 3}]);
    chart("tl-chart-backlog", data.points, [{name: "backlog", column: 5}, {name: "parked", column: 6}]);
    showAlerts(data);
    showBreakers(data);
    showModes(data);
    showWorkers(data);
    showCheckpoints(data);
    showServer(data);
    showLetters(data);
  }

  let asking = false;

  async function refresh() {
    if (asking) return;
    asking = true;
    try {
      show(await ask("/data"));
    } catch (error) {
      at("tl-banner").dataset.level = "stopped";
      put("tl-sentence", "Flower itself does not answer: " + error.message);
      put("tl-fix", "Load this page anew; you may have to log in. Else start Flower again. Work does not depend on it.");
    } finally {
      asking = false;
    }
  }

  refresh();
  setInterval(() => { if (!document.hidden) refresh(); }, EVERY);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
}());
