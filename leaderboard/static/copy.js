// Buttons that copy: a link to a place of this page (an empty place: the page as it stands), or a text.
"use strict";
(() => {
  /** Whether it worked; the second way is for pages that may not use the clipboard. */
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "sr";
      document.body.append(area);
      area.select();
      const worked = document.execCommand("copy");
      area.remove();
      return worked;
    }
  };

  for (const place of document.querySelectorAll(".copies")) {
    place.hidden = false;
    place.addEventListener("click", async (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const { copy: id, copyLink: target } = button.dataset;
      const text = id ? document.getElementById(id).textContent : target ? location.href.split("#")[0] + target : location.href;
      const worked = await copy(text);
      button.focus();
      place.querySelector("[role=status]").textContent = worked ? "Copied." : "The browser does not allow it: select the text and copy it.";
    });
  }
})();
