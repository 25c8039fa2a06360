// The seed's two endpoints and its events as a Node service: express, socket.io, better-sqlite3.
//
// What an experienced Node engineer would write for one process: statements prepared once, one transaction a
// change, WAL with synchronous=FULL so that an answer is on disk, the snapshot kept until something changes, and
// one broadcast a change. Tokens are SHA-256 in a table; agents and their tokens are made at the start.
//
//     node server.mjs FILE AGENTS

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import process from "node:process";

import Database from "better-sqlite3";
import express from "express";
import { Server } from "socket.io";

const [file, agents] = process.argv.slice(2);
const FIRST = 1001;
const EXPIRY_S = 3600;

const db = new Database(file);
db.pragma("journal_mode = WAL");
db.pragma("synchronous = FULL");
db.exec(`
  CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE, extension TEXT UNIQUE,
    online INTEGER NOT NULL DEFAULT 0, sipRegistered INTEGER NOT NULL DEFAULT 0);
  CREATE TABLE tokens (hash BLOB PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id), expires_at INTEGER NOT NULL)
    WITHOUT ROWID;
  CREATE TABLE ps_contacts (id TEXT PRIMARY KEY, endpoint TEXT NOT NULL, uri TEXT NOT NULL,
    expiration_time INTEGER NOT NULL, status TEXT NOT NULL);
  CREATE INDEX ps_contacts_endpoint ON ps_contacts (endpoint);
`);

const sha256 = (text) => createHash("sha256").update(text).digest();

const addUser = db.prepare("INSERT INTO users (username, extension) VALUES (?, ?)");
const addToken = db.prepare("INSERT INTO tokens (hash, user_id, expires_at) VALUES (?, ?, ?)");
db.transaction(() => {
  const until = Date.now() + 24 * 3_600_000;
  for (let extension = FIRST; extension < FIRST + Number(agents); extension += 1) {
    const { lastInsertRowid } = addUser.run(`agent${extension}`, String(extension));
    addToken.run(sha256(`token-of-${extension}`), lastInsertRowid, until);
  }
})();

const userOfToken = db.prepare(`
  SELECT u.id, u.extension FROM tokens t JOIN users u ON u.id = t.user_id WHERE t.hash = ? AND t.expires_at > ?`);
const setPresence = db.prepare("UPDATE users SET online = ?, sipRegistered = ? WHERE id = ?");
const putContact = db.prepare(`
  INSERT INTO ps_contacts (id, endpoint, uri, expiration_time, status) VALUES (?, ?, ?, ?, 'Reachable')
  ON CONFLICT (id) DO UPDATE SET uri = excluded.uri, expiration_time = excluded.expiration_time, status = excluded.status`);
const expireContacts = db.prepare("UPDATE ps_contacts SET status = 'Expired', expiration_time = ? WHERE endpoint = ?");
const everybody = db.prepare("SELECT extension, online, sipRegistered FROM users ORDER BY extension");

const now = () => Math.floor(Date.now() / 1000);

const goOnline = db.transaction((user, contactUri) => {
  setPresence.run(1, 1, user.id);
  putContact.run(user.extension, user.extension, contactUri, now() + EXPIRY_S);
});

const goOffline = db.transaction((user) => {
  setPresence.run(0, 0, user.id);
  expireContacts.run(now() - 1, user.extension);
});

const app = express();
app.disable("x-powered-by");
app.disable("etag");
const http = createServer(app);
const io = new Server(http, { serveClient: false });

let snapshot;
const board = () => {
  snapshot ??= everybody.all().map((row) => ({
    extension: row.extension,
    status: row.online ? "Available" : "Offline",
    online: Boolean(row.online),
    sipRegistered: Boolean(row.sipRegistered),
  }));
  return snapshot;
};

const tell = (extension, online) => {
  snapshot = undefined;
  const status = online ? "Available" : "Offline";
  io.emit("agent:status", { extension, status, online, sipRegistered: online });
};

const bearer = (header) => (header ?? "").replace(/^Bearer /, "");
const known = (token) => userOfToken.get(sha256(token), Date.now());

const signedIn = (request, response, next) => {
  request.user = known(bearer(request.get("authorization")));
  if (request.user) {
    next();
  } else {
    response.status(401).json({ code: "invalid_token", message: "Sign in first." });
  }
};

app.post("/api/users/agent-online", express.json({ limit: "16kb" }), signedIn, (request, response) => {
  const { extension, contactUri } = request.body ?? {};
  if (extension !== request.user.extension || !/^sip:[^\s<>]{1,200}$/.test(contactUri ?? "")) {
    response.status(400).json({ code: "invalid", message: "extension and contactUri have to be one's own." });
    return;
  }
  goOnline(request.user, contactUri);
  tell(extension, true);
  response.json({ success: true });
});

app.post("/api/users/agent-logout", signedIn, (request, response) => {
  goOffline(request.user);
  tell(request.user.extension, false);
  response.json({ success: true });
});

io.use((socket, next) => {
  next(known(socket.handshake.auth.token ?? "") ? undefined : new Error("invalid_token"));
});
io.on("connection", (socket) => {
  socket.emit("agents:snapshot", { agents: board() });
});

http.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ event: "ready", http: `http://127.0.0.1:${http.address().port}` }));
});
