// The charts of the insights: drawn by Chart.js from the figures in the page, in its theme's colours.
"use strict";
{
  const figures = document.getElementById("chart-figures");
  const data = figures && JSON.parse(figures.textContent);
  let drawn = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const bars = (label, values, name) => ({ label, data: values, backgroundColor: colour(name) });
  const line = (label, values, name, borderDash = []) => ({
    label, data: values, borderDash, borderWidth: 2, pointRadius: 2, spanGaps: false,
    borderColor: colour(name), backgroundColor: colour(name),
  });

  function chart(id, type, datasets) {
    const axis = { ticks: { color: colour("--body-fg") }, grid: { color: colour("--hairline-color") } };
    const stacked = type === "bar";
    const marker = stacked ? { boxWidth: 12 } : { boxWidth: 30, boxHeight: 0 }; // a line, dashed as its own
    drawn.push(new Chart(document.getElementById(id), {
      type,
      data: { labels: data.days, datasets },
      options: {
        animation: false,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        scales: {
          x: { ...axis, stacked, ticks: { ...axis.ticks, maxRotation: 0, callback: (day) => data.days[day].slice(5) } },
          y: { ...axis, stacked, beginAtZero: true, ticks: { ...axis.ticks, precision: stacked ? 0 : undefined } },
        },
        plugins: { legend: { position: "bottom", labels: { color: colour("--body-fg"), ...marker } } },
      },
    }));
  }

  function draw() {
    for (const each of drawn) each.destroy();
    drawn = [];
    chart("chart-questions", "bar", [
      bars("answered", data.answered, "--answered"),
      bars("stopped", data.stopped, "--stopped"),
      bars("failed", data.failed, "--failed"),
    ]);
    chart("chart-times", "line", [
      line("first token, median", data.first_token_p50, "--answered"),
      line("95 %", data.first_token_p95, "--answered", [4, 4]),
      line("whole answer, median", data.duration_p50, "--second"),
      line("95 %", data.duration_p95, "--second", [4, 4]),
    ]);
    chart("chart-tokens", "bar", [
      bars("in", data.prompt_tokens, "--answered"),
      bars("out", data.completion_tokens, "--second"),
    ]);
    chart("chart-thumbs", "bar", [
      bars("up", data.thumbs_up, "--up"),
      bars("down", data.thumbs_down, "--failed"),
    ]);
  }

  if (data) {
    draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }
}
