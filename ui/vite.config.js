// Builds src/app.ts into the Python package, with a manifest and a digest of the sources.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { defineConfig } from "vite";

const HERE = import.meta.dirname;
const BUILT = join(HERE, "../src/callreel/web/static/built");
const BUILD_INPUTS = ["package.json", "package-lock.json", "vite.config.js", "tsconfig.json", "src"];

function files(path) {
  return statSync(path).isDirectory() ? readdirSync(path).flatMap((name) => files(join(path, name))) : [path];
}

/** One digest of all inputs of the build; tests/web/test_built_ui.py checks it. */
function sourcesDigest() {
  const names = BUILD_INPUTS.flatMap((name) => files(join(HERE, name))).map((path) => relative(HERE, path).split(sep).join("/"));
  const digest = createHash("sha256");
  for (const name of names.sort()) digest.update(name + "\0").update(readFileSync(join(HERE, name))).update("\0");
  return digest.digest("hex");
}

const sources = {
  name: "sources",
  closeBundle() {
    writeFileSync(join(BUILT, "sources.sha256"), sourcesDigest() + "\n");
  },
};

export default defineConfig({
  base: "./",
  publicDir: false,
  plugins: [sources],
  build: {
    outDir: BUILT,
    emptyOutDir: true,
    manifest: "manifest.json",
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 250,
    reportCompressedSize: true,
    rollupOptions: {
      input: "src/app.ts",
      output: { entryFileNames: "[name]-[hash].js", chunkFileNames: "[name]-[hash].js", assetFileNames: "[name]-[hash][extname]" },
    },
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
