// A client of a node by openapi-fetch, with the types that openapi-typescript made of its document.
import createClient from "openapi-fetch";
import type { paths } from "./node_types.js";

const [address, token] = process.argv.slice(2);
const node = createClient<paths>({ baseUrl: address, headers: { Authorization: `Bearer ${token}` } });

function good<T>(answer: { data?: T; error?: unknown }): T {
    if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
    return answer.data;
}

const core = { wit: process.env["WIT"] as string };
good(await node.POST("/actors", { body: { core, name: "grace", nonce: "ts" } }));
const path = { actor: "grace", type: "order" };
const sent = { params: { path }, body: { items: [{ name: "tea" }] } };
const answer = good(await node.POST("/actors/{actor}/messages/{type}", sent));
if (!("replies" in answer)) throw new Error("it was not answered");
const asked = { params: { path: { actor: "grace", name: "find" }, query: { arguments: { words: "x" } } } };
const how = { parseAs: "json" as const, querySerializer: () => "words=x" };
const found = good(await node.GET("/actors/{actor}/query/{name}", { ...asked, ...how }));
const listed = good(await node.GET("/actors", {}));
const chain = good(await node.GET("/actors/{actor}/chain", { params: { path: { actor: "grace" } } }));
const refused = await node.GET("/actors/{actor}", { params: { path: { actor: "nobody" } } });
console.log(
    JSON.stringify({
        reply: answer.replies[0]?.content,
        found,
        names: listed.actors.map((actor) => actor.name),
        steps: chain.entries.length,
        refused: refused.error?.status,
    }),
);
