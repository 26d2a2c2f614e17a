"use strict";
{
  const { charts, trials } = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // Traces and layout of a chart in the page's colours; a copy, for plotly writes into what it is given.
  function dressed(name) {
    const named = new Set(["@ink", "@muted", "@faint", "@accent"]);
    const replace = (key, value) => (named.has(value) ? colour(value.slice(1)) : value);
    const { data, layout } = JSON.parse(JSON.stringify(charts[name]), replace);
    for (const trace of data) {
      if (trace.customdata) trace.text = trace.customdata.map((number) => trials[number]);
      if (trace.meta !== undefined) trace.text = trials[trace.meta];
    }
    const family = getComputedStyle(document.body).fontFamily;
    const axis = { gridcolor: colour("line"), linecolor: colour("line"), zerolinecolor: colour("line") };
    return { data, layout: {
      margin: { l: 60, r: 16, t: 12, b: 48 },
      ...layout,
      font: { family, size: 12, color: colour("ink") },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      showlegend: false,
      hovermode: "closest",
      hoverlabel: { align: "left", bgcolor: colour("tint"), bordercolor: colour("line"), font: { family, color: colour("ink") } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("ink") },
      template: { layout: { xaxis: axis, yaxis: axis } },
    } };
  }

  function draw(place) {
    const { data, layout } = dressed(place.id);
    const config = { responsive: true, displaylogo: false, modeBarButtons: [["toImage"]] };
    Plotly.react(place, data, layout, config);
    place.dataset.drawn = "";
  }

  // A chart is drawn when it comes near the window, so that a page with many opens at once.
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      watch.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "600px" });
  const places = [...document.querySelectorAll(".chart")];
  places.forEach((place) => watch.observe(place));
  dark.addEventListener("change", () => places.filter((place) => "drawn" in place.dataset).forEach(draw));
  addEventListener("beforeprint", () => places.filter((place) => !("drawn" in place.dataset)).forEach(draw));

  // Numbers by value before texts; cells without a value and failed trials come last in either direction.
  function sort(table, head, ascending) {
    const column = [...head.parentNode.children].indexOf(head);
    const rows = [...table.tBodies[0].rows].map((row) => {
      const cell = row.cells[column], text = cell.textContent, number = Number(cell.dataset.v ?? text);
      const last = (row.classList.contains("failed") ? 2 : 0) + (text === "" ? 1 : 0);
      return { row, text, number, last };
    });
    const compare = (a, b) => {
      if (a.last !== b.last) return a.last - b.last;
      if (isNaN(a.number) !== isNaN(b.number)) return isNaN(a.number) ? 1 : -1;
      const order = isNaN(a.number) ? a.text.localeCompare(b.text, undefined, { numeric: true }) : a.number - b.number;
      return ascending ? order : -order;
    };
    table.tBodies[0].append(...rows.sort(compare).map(({ row }) => row));
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  }
  const table = document.getElementById("all-trials");
  for (const head of table ? table.tHead.rows[0].cells : []) {
    head.firstChild.addEventListener("click", () => sort(table, head, head.getAttribute("aria-sort") !== "ascending"));
  }

  const copy = document.getElementById("copy");
  copy?.addEventListener("click", async () => {
    const code = document.getElementById("best");
    getSelection().selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      document.execCommand("copy");
    }
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 2000);
  });
}
