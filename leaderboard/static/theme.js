// The theme: the system's, or the reader's own choice, which this browser keeps.
"use strict";
(() => {
  const order = ["system", "light", "dark"];
  const kept = () => { try { return localStorage.getItem("recode-eval-theme"); } catch { return null; } };
  let theme = order.includes(kept()) ? kept() : "system";
  const show = () => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${theme}`;
  };
  show(); // before the first paint
  document.addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme").addEventListener("click", () => {
      theme = order[(order.indexOf(theme) + 1) % order.length];
      try { localStorage.setItem("recode-eval-theme", theme); } catch { /* kept for this page only */ }
      show();
    });
  });
})();
