// The values that awm_crank.wire made (tests/viewer/test_modules.py), and the contract compiled from them.
import { readFileSync } from "node:fs";
import { Contract, fromHex } from "./page/codec.js";

export const vectors = JSON.parse(readFileSync(new URL("vectors.json", import.meta.url)));
export const contract = new Contract(vectors.contract);
export const bytes = fromHex;
