import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [react()],
  // Tauri loads devUrl from this address, and only from it.
  server: {
    host: "127.0.0.1",
    port: 5173,
    strictPort: true,
    // The mark is kept beside the icons made of it; a test holds the names of commands to the wire.
    fs: { allow: [".", "../src-tauri/icons", "../crates/wire/src"] },
  },
  build: {
    outDir: "dist",
    // WebKitGTK 2.40 and later, WebView2, macOS 13.
    target: ["es2022", "safari16.4"],
    // The CSP allows no data: fonts, so that nothing is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  test: {
    environment: "jsdom",
    setupFiles: ["tests/setup.ts"],
    include: ["src/**/*.test.{ts,tsx}"],
    restoreMocks: true,
    // A busy machine is no failure.
    testTimeout: 30_000,
  },
});
