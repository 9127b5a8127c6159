// What scrolls can be reached with the keyboard, and what the theme leaves unnamed has a name for screen readers.
addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".table-wrapper, div.highlight pre")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
  for (const caption of document.querySelectorAll(".sidebar-tree .caption")) caption.setAttribute("aria-level", "2");
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "All pages");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", "On this page");
});
