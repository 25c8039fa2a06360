// Connects as the seed's clients do and prints what comes, one JSON object a line, with its time (t, ms since the epoch).
// Usage: node board.mjs URL, with the token in ROLLCALL_TOKEN; SOCKETIO_TRANSPORTS may name transports ("polling,websocket").
import { io } from "socket.io-client";

const say = (event, data) => process.stdout.write(JSON.stringify({ t: Date.now(), event, data }) + "\n");

const socket = io(process.argv[2], {
  auth: { token: process.env.ROLLCALL_TOKEN },
  transports: process.env.SOCKETIO_TRANSPORTS?.split(",") ?? ["websocket"],
  reconnectionDelay: 100,
  reconnectionDelayMax: 500,
});

socket.on("connect", () => say("connect", { transport: socket.io.engine.transport.name }));
socket.on("connect_error", (error) => say("connect_error", { message: error.message, data: error.data ?? null }));
socket.on("disconnect", (reason) => say("disconnect", { reason }));
for (const name of ["agents:snapshot", "agent:status"]) {
  socket.on(name, (data) => say(name, data));
}
process.on("SIGTERM", () => {
  socket.close();
  process.exit(0);
});
