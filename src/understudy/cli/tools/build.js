// Builds a component of a module: node build.js MODULE.js WIT-FOLDER COMPONENT.wasm WORLD
//
// Clock, random numbers, standard input and output, and HTTP are left out: this actor needs none of them.

import { readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { componentize } from "@bytecodealliance/componentize-js";

const [module, wit, target, worldName] = process.argv.slice(2);
const { component } = await componentize(await readFile(module, "utf8"), {
  witPath: resolve(wit),
  worldName,
  disableFeatures: ["random", "stdio", "clocks", "http", "fetch-event"],
});
await writeFile(target, component);
