// The transactions of a batch, on Flower's page of its task. What comes from the ledger is put in as text.
(async function () {
  "use strict";

  const part = document.getElementById("tl-batch");
  const counts = document.getElementById("tl-batch-counts");
  const body = document.getElementById("tl-batch-table").tBodies[0];

  try {
    const reply = await fetch(part.dataset.base + "/batch/" + encodeURIComponent(part.dataset.task), {
      credentials: "same-origin", signal: AbortSignal.timeout(15000),
    });
    const found = await reply.json();
    if (found.error) throw new Error(found.error);
    const told = Object.entries(found.counts).map(([kind, number]) => number + " " + kind).join(", ");
    counts.textContent = told || "No outcome came of this task: see its result above.";
    body.replaceChildren(...found.transactions.map((one) => {
      const row = document.createElement("tr");
      const link = document.createElement("a");
      link.href = part.dataset.base + "/transaction?signature=" + encodeURIComponent(one.signature);
      link.textContent = one.signature || "genesis";
      row.insertCell().append(link);
      const badge = document.createElement("span");
      badge.className = "badge text-bg-" + (one.err === null ? "success" : "danger");
      badge.textContent = one.kind;
      badge.title = one.err || "";
      row.insertCell().append(badge);
      row.insertCell().textContent = one.slot;
      row.insertCell().textContent = one.seq;
      return row;
    }));
  } catch (error) {
    counts.textContent = "The transactions cannot be shown: " + error.message;
  }
}());
