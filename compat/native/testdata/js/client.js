import "./out/client.js"; // which the test compiles of client.ts
