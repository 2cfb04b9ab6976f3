"use strict";
(() => {
  const tip = document.getElementById("tip");
  const shown = (target) => target.closest && target.closest("[data-tip]");
  const place = (x, y) => {
    const box = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, x + 14), document.documentElement.clientWidth - box.width - 8);
    const top = y + 18 + box.height > window.innerHeight ? y - box.height - 12 : y + 18;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${top}px`;
  };
  const hide = () => { tip.hidden = true; };
  document.addEventListener("pointermove", (event) => {
    const target = shown(event.target);
    if (!target) { hide(); return; }
    tip.textContent = target.dataset.tip;
    tip.hidden = false;
    place(event.clientX, event.clientY);
  });
  document.addEventListener("focusin", (event) => {
    const target = shown(event.target);
    if (!target || !target.matches(":focus-visible")) return;
    tip.textContent = target.dataset.tip;
    tip.hidden = false;
    const box = target.getBoundingClientRect();
    place(box.left, box.bottom - 12);
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("pointerdown", (event) => { if (!shown(event.target)) hide(); });
  document.addEventListener("scroll", hide, { passive: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });

  for (const input of document.querySelectorAll(".compare input")) {
    const cut = () => input.parentElement.style.setProperty("--cut", `${input.value}%`);
    input.addEventListener("input", cut);
    cut();
  }
  for (const thumb of document.querySelectorAll(".thumb")) {
    thumb.addEventListener("click", () => {
      const gallery = thumb.closest(".gallery");
      for (const each of gallery.querySelectorAll(".thumb")) each.setAttribute("aria-pressed", String(each === thumb));
      gallery.style.setProperty("--pos", thumb.dataset.pos);
      gallery.querySelector("p[data-scores]").textContent = thumb.dataset.scores;
    });
  }
  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(button.previousElementSibling);
        button.textContent = "Press Ctrl-C";
      }
    });
  }
  let opened = [];
  addEventListener("beforeprint", () => {
    const folded = [...document.querySelectorAll("details:not([open])")];
    for (const each of folded) each.open = true;
    opened.push(...folded);
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
    opened = [];
  });
})();
