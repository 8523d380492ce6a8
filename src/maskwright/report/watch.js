// Asks for the page again while the run goes on, and keeps what was unfolded, chosen and scrolled to.
(() => {
  const all = (query) => [...document.querySelectorAll(query)];
  const sheet = () => document.querySelector(".sheet");

  const look = async () => {
    // Whoever marks a text to copy it must not lose it.
    if (document.hidden || !getSelection().isCollapsed) return wait();
    try {
      const answer = await fetch("/", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const unfolded = all("details").map((one) => one.open);
      const aside = all(".scroll").map((one) => one.scrollLeft);
      const chosen = all("input:checked").map((one) => one.id);
      const [left, top] = [scrollX, scrollY];
      sheet().replaceWith(document.importNode(fresh.querySelector(".sheet"), true));
      all("details").forEach((one, at) => { one.open = unfolded[at]; });
      all(".scroll").forEach((one, at) => { one.scrollLeft = aside[at]; });
      chosen.forEach((id) => { const one = document.getElementById(id); if (one) one.checked = true; });
      scrollTo({ left, top, behavior: "instant" });
      document.body.classList.remove("lost");
    } catch {
      document.body.classList.add("lost");
    }
    wait();
  };

  const wait = () => {
    const seconds = Number(sheet().dataset.again);
    if (seconds) setTimeout(look, 1000 * seconds);
  };

  wait();
})();
