// The charts of the insights page: Chart.js draws the figures in the page, in its theme's colours.
"use strict";
{
  /**
   * @typedef {(number | null)[]} Figures one for each day
   * @typedef {import("chart.js").ChartDataset<"bar", Figures>} Bars
   * @typedef {import("chart.js").ChartDataset<"line", Figures>} Line
   */

  /** @type {{Chart: typeof import("chart.js").Chart}} */
  const { Chart } = /** @type {any} */ (window);
  const figures = document.getElementById("chart-figures");
  const data = figures && JSON.parse(figures.textContent);
  /** @type {import("chart.js").Chart[]} */
  let charts = [];

  /** @param {string} name of a CSS variable */
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /**
   * @param {string} label
   * @param {Figures} values
   * @param {string} variable the colour's CSS variable
   * @returns {Bars}
   */
  const bars = (label, values, variable) => ({ label, data: values, backgroundColor: colour(variable) });

  /**
   * @param {string} label
   * @param {Figures} values
   * @param {string} variable
   * @param {number[]} [borderDash]
   * @returns {Line}
   */
  const line = (label, values, variable, borderDash = []) => ({
    label,
    data: values,
    borderDash,
    borderWidth: 2,
    pointRadius: 2,
    spanGaps: false,
    borderColor: colour(variable),
    backgroundColor: colour(variable),
  });

  /**
   * @param {string} id of the canvas
   * @param {"bar" | "line"} type
   * @param {(Bars | Line)[]} datasets
   */
  function drawChart(id, type, datasets) {
    const canvas = /** @type {HTMLCanvasElement | null} */ (document.getElementById(id));
    if (!canvas) return; // without a book there is no chart of it
    const options = type === "bar" ? barOptions() : lineOptions();
    charts.push(new Chart(canvas, { type, data: { labels: data.days, datasets }, options }));
  }

  const barOptions = () => chartOptions({ stacked: true, precision: 0, marker: { boxWidth: 12 } });
  // A line's marker is drawn as the line is, dashed or not.
  const lineOptions = () => chartOptions({ stacked: false, marker: { boxWidth: 30, boxHeight: 0 } });

  /**
   * @param {{stacked: boolean, precision?: number, marker: {boxWidth: number, boxHeight?: number}}} look
   * @returns {import("chart.js").ChartOptions}
   */
  function chartOptions({ stacked, precision, marker }) {
    const text = colour("--body-fg");
    const grid = { color: colour("--hairline-color") };
    const monthAndDay = (/** @type {string | number} */ index) => data.days[index].slice(5);
    return {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { grid, stacked, ticks: { color: text, maxRotation: 0, callback: monthAndDay } },
        y: { grid, stacked, beginAtZero: true, ticks: { color: text, precision } },
      },
      plugins: { legend: { position: "bottom", labels: { color: text, ...marker } } },
    };
  }

  function drawAll() {
    for (const chart of charts) chart.destroy();
    charts = [];
    drawChart("chart-questions", "bar", [
      bars("answered", data.answered, "--answered"),
      bars("stopped", data.stopped, "--stopped"),
      bars("failed", data.failed, "--failed"),
    ]);
    drawChart("chart-grounding", "bar", [
      bars("cites the book", data.book, "--answered"),
      bars("selected passage", data.passage, "--second"),
      bars("cites nothing", data.uncited, "--neutral"),
      bars("book is silent", data.silent, "--stopped"),
      bars("excerpts", data.excerpts, "--failed"),
    ]);
    drawChart("chart-times", "line", [
      line("first token, median", data.first_token_p50, "--answered"),
      line("95 %", data.first_token_p95, "--answered", [4, 4]),
      line("whole answer, median", data.duration_p50, "--second"),
      line("95 %", data.duration_p95, "--second", [4, 4]),
    ]);
    drawChart("chart-tokens", "bar", [
      bars("in", data.prompt_tokens, "--answered"),
      bars("out", data.completion_tokens, "--second"),
    ]);
    drawChart("chart-thumbs", "bar", [bars("up", data.thumbs_up, "--up"), bars("down", data.thumbs_down, "--failed")]);
  }

  if (data) {
    drawAll();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }
}
