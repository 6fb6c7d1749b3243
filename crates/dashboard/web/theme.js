// Light or dark: as the system has it until somebody chooses, which is kept in this browser. Runs before the page is drawn.

const KEPT = 'orderflow.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');
const root = document.documentElement;

const kept = () => {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
};

function apply() {
  const theme = kept() ?? (dark.matches ? 'dark' : 'light');
  root.dataset.theme = theme;
  const button = document.getElementById('theme');
  if (button) button.setAttribute('aria-label', theme === 'dark' ? 'Use the light theme' : 'Use the dark theme');
}

function toggle() {
  try {
    localStorage.setItem(KEPT, root.dataset.theme === 'dark' ? 'light' : 'dark');
  } catch {
    // Where nothing can be kept, the system decides.
  }
  apply();
}

apply();
dark.addEventListener('change', apply);
addEventListener('storage', apply);
document.addEventListener('DOMContentLoaded', () => {
  apply();
  document.getElementById('theme').addEventListener('click', toggle);
});
