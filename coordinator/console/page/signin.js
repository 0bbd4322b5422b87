// The form that the refusal of the page is: with a key it fetches the page itself.
(() => {
"use strict";
const why = document.getElementById("why");
async function enter(key, quiet) {
  let res;
  try {
    res = await fetch("/console/", { headers: { Authorization: "Bearer " + key } });
  } catch (e) {
    why.textContent = "The coordinator does not answer.";
    return;
  }
  if (!res.ok) {
    sessionStorage.removeItem("sullae-key");
    if (!quiet) why.textContent = "This key is not accepted. 이 키는 사용할 수 없습니다.";
    return;
  }
  sessionStorage.setItem("sullae-key", key);
  const html = await res.text();
  document.open();
  document.write(html);
  document.close();
}
document.getElementById("enter").addEventListener("submit", (e) => {
  e.preventDefault();
  enter(document.getElementById("key").value.trim(), false);
});
const known = sessionStorage.getItem("sullae-key");
if (known) enter(known, true);
})();
