// The page of editions: while a run works, its progress is fetched anew, and in the end the page.
"use strict";
{
  const PAUSE_MS = 1500;
  const place = document.getElementById("run");

  const isAtWork = () => place?.querySelector("[data-at-work]");

  async function follow() {
    while (place && isAtWork()) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      const isOpen = place.querySelector("details")?.open;
      const answer = await fetch(String(place.dataset.url)).catch(() => null);
      if (answer?.redirected || answer?.status === 403) break; // logged out
      if (!answer?.ok) continue; // the server is restarted, or busy
      place.innerHTML = await answer.text();
      if (!isAtWork()) location.reload();
      const details = place.querySelector("details");
      if (details && isOpen !== undefined) details.open = isOpen;
    }
  }

  follow();
}
