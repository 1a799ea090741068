/* VERSION and SHELL are set by the server. Parts carry their version in their address and never change. */

const PATIENCE = 4000;
const COPY = `dermserve-${VERSION}`;
const MODEL = "dermserve-model";

self.addEventListener("install", (event) => {
  const fresh = SHELL.map((path) => new Request(path, { cache: path.startsWith("static/") ? "default" : "no-cache" }));
  event.waitUntil(caches.open(COPY).then((cache) => cache.addAll(fresh)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const forget = (names) => Promise.all(names.filter((name) => name !== COPY && name !== MODEL).map((name) => caches.delete(name)));
  event.waitUntil(caches.keys().then(forget).then(() => self.clients.claim()));
});

const copy = (request) => caches.match(request, { cacheName: COPY, ignoreSearch: true });

/** The newest page if the server answers soon, otherwise the copy made at installation. */
async function entry(request) {
  try {
    const response = await fetch(request, { signal: AbortSignal.timeout(PATIENCE) });
    if (response.ok || response.status === 304) return response;
    throw new Error(`the server answered ${response.status}`);
  } catch {
    return (await copy(request)) ?? Response.error();
  }
}

/** The model card stays readable offline; predictions are never kept. */
async function card(request) {
  const cache = await caches.open(MODEL);
  try {
    const response = await fetch(request);
    const ours = response.headers.get("Content-Type")?.startsWith("application/json"); // not the login page of a network
    if (response.ok && ours) await cache.put(request.url, response.clone());
    return response;
  } catch {
    return (await cache.match(request.url)) ?? Response.error();
  }
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  const scope = new URL(self.registration.scope);
  const url = new URL(request.url);
  if (url.origin !== scope.origin) return;
  const path = `./${url.pathname.slice(scope.pathname.length)}`;
  if (path.startsWith("./static/")) event.respondWith(copy(request).then((kept) => kept ?? fetch(request)));
  else if (path === "./" || SHELL.includes(path.slice(2))) event.respondWith(entry(request));
  else if (path === "./v1/model") event.respondWith(card(request));
});
