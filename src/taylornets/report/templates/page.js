// Interaction of a report: values on hover and focus, series to hide, tables to sort and filter.
// The page has the same content without this script. Texts are set as text only, never as markup.
"use strict";
(() => {
  const make = (tag, attributes, text = "") => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = text;
    return element;
  };

  // Values of a figure: a slider with one step per value, so that arrow keys work with every screen reader.
  const tip = make("div", { class: "tip", "aria-hidden": "true" });
  tip.hidden = true;
  document.body.append(tip);

  const hide = () => {
    tip.hidden = true;
    document.querySelectorAll("circle.current").forEach((circle) => circle.classList.remove("current"));
  };

  const point = (spot) => {
    hide();
    spot.circle.classList.add("current");
    tip.textContent = spot.text;
    tip.hidden = false;
    const at = spot.circle.getBoundingClientRect();
    const left = at.left + at.width / 2 - tip.offsetWidth / 2;
    const right = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(left, right))}px`;
    const above = at.top - tip.offsetHeight - 6;
    tip.style.top = `${above >= 8 ? above : at.bottom + 6}px`;
  };

  const values = (svg) => {
    const spots = [...svg.querySelectorAll("circle")].map((circle) => {
      const title = circle.querySelector("title");
      title.remove(); // the browser would show it as a second tooltip
      return { circle, text: title.textContent, x: circle.cx.baseVal.value, y: circle.cy.baseVal.value, key: circle.dataset.key };
    });
    const visible = () => spots.filter((spot) => !spot.circle.classList.contains("off"));
    let current = spots[0];
    const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
    const nearest = (place, among, far = distance) => among.reduce((a, b) => (far(b, place) < far(a, place) ? b : a), among[0]);
    const select = (spot) => {
      if (!spot) return hide();
      current = spot;
      svg.setAttribute("aria-valuemax", visible().length);
      svg.setAttribute("aria-valuenow", visible().indexOf(spot) + 1);
      svg.setAttribute("aria-valuetext", spot.text.replaceAll("\n", "; "));
      return point(spot);
    };
    const follow = (event) => {
      const frame = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / frame.width;
      const place = { x: (event.clientX - frame.left) * scale, y: (event.clientY - frame.top) * scale };
      const found = nearest(place, visible());
      select(found && distance(found, place) < 18 ? found : null);
    };
    const step = (event) => {
      const shown = visible();
      const at = Math.max(0, shown.indexOf(current));
      const keys = [...new Set(shown.map((spot) => spot.key))];
      const other = (by) => {
        const key = keys[(keys.indexOf(current.key) + by + keys.length) % keys.length];
        const across = (a, b) => Math.abs(a.x - b.x) + Math.abs(a.y - b.y) / 1000; // the same abscissa where there is one
        return nearest(current, shown.filter((spot) => spot.key === key), across);
      };
      const moves = {
        ArrowRight: () => shown[Math.min(at + 1, shown.length - 1)],
        ArrowLeft: () => shown[Math.max(at - 1, 0)],
        ArrowUp: () => other(-1),
        ArrowDown: () => other(1),
        Home: () => shown[0],
        End: () => shown[shown.length - 1],
      };
      if (event.key === "Escape") hide();
      if (!(event.key in moves)) return;
      event.preventDefault();
      select(moves[event.key]());
    };
    svg.removeAttribute("aria-hidden");
    const attributes = { tabindex: 0, role: "slider", "aria-label": `Values. ${svg.dataset.label}`, "aria-valuemin": 1,
      "aria-valuemax": spots.length, "aria-valuenow": 1, "aria-valuetext": spots[0].text.replaceAll("\n", "; ") };
    for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
    svg.addEventListener("pointermove", follow);
    svg.addEventListener("pointerdown", follow);
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("keydown", step);
    svg.addEventListener("focus", () => svg.matches(":focus-visible") && select(visible().includes(current) ? current : visible()[0]));
    svg.addEventListener("blur", hide);
  };

  // Series of a figure.
  const toggles = (bar) => {
    const figure = bar.closest("figure");
    bar.hidden = false;
    bar.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const off = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!off));
      const key = CSS.escape(button.dataset.key);
      figure.querySelectorAll(`[data-series="${key}"], circle[data-key="${key}"]`).forEach((part) => part.classList.toggle("off", off));
      figure.querySelectorAll(`[data-legend="${key}"]`).forEach((part) => part.classList.toggle("faint", off));
    });
  };

  // Tables. Numbers come first, then texts, then missing values.
  const keyOf = (cell) => {
    const text = cell.textContent.trim();
    const plain = text.replaceAll("−", "-").replace(/^[≥≤~<>±]\s*|[\s\u202f]/g, "");
    const value = Number(cell.dataset.value ?? (plain === "" ? NaN : plain));
    if (!Number.isNaN(value)) return [0, value];
    return text === "" || text === "–" || text === "NaN" ? [2, ""] : [1, text];
  };
  const compare = (a, b, sign) => {
    if (a[0] !== b[0]) return a[0] - b[0];
    return sign * (a[0] === 0 ? a[1] - b[1] || 0 : String(a[1]).localeCompare(String(b[1]), "en", { numeric: true }));
  };

  const narrow = matchMedia("(max-width: 44rem)");
  const sortable = (table) => {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => {
      const button = make("button", { type: "button", class: "sort" });
      button.append(...header.childNodes);
      header.append(button);
      const hidden = () => { button.disabled = narrow.matches && table.classList.contains("summary"); }; // no header is visible
      narrow.addEventListener("change", hidden);
      hidden();
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: "" }[header.getAttribute("aria-sort")] ?? "ascending";
        headers.forEach((other) => other.removeAttribute("aria-sort"));
        if (next) header.setAttribute("aria-sort", next);
        const sign = next === "descending" ? -1 : 1;
        const keys = new Map(rows.map((row) => [row, keyOf(row.cells[column])]));
        body.append(...(next ? [...rows].sort((a, b) => compare(keys.get(a), keys.get(b), sign)) : rows));
      });
    });
    if (rows.length > 8) body.closest(".scroll").before(filter(rows));
  };

  const filter = (rows) => {
    const label = make("label", { class: "filter" }, "Filter rows ");
    const input = make("input", { type: "search", autocomplete: "off" });
    const count = make("output", {});
    label.append(input, " ", count);
    const words = rows.map((row) => row.textContent.toLowerCase());
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      rows.forEach((row, place) => { row.hidden = !words[place].includes(wanted); });
      count.textContent = wanted ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows` : "";
    });
    return label;
  };

  document.querySelectorAll("svg.marks").forEach(values);
  document.querySelectorAll(".toggles").forEach(toggles);
  document.querySelectorAll("table.sortable").forEach((table) => table.tBodies[0].rows.length > 2 && sortable(table));
  addEventListener("scroll", hide, { passive: true });
})();
