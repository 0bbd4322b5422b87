// Requests to the coordinator, with the key where there is one.
let key = sessionStorage.getItem("sullae-key") || "";

function ask(path, options) {
  const o = Object.assign({}, options);
  o.headers = Object.assign({}, o.headers, key ? { Authorization: "Bearer " + key } : {});
  return fetch(path, o);
}

function leave() {
  sessionStorage.removeItem("sullae-key");
  location.reload();
}
