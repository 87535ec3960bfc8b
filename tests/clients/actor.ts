// A client of one actor: a misspelt field or a wrong type would not compile.
import createClient from "openapi-fetch";
import type { paths } from "./actor_types.js";

const [address, id] = process.argv.slice(2);
const shop = createClient<paths>({
    baseUrl: address,
    // The types were made of a document in which the actor's id is SHOP.
    fetch: (request) => fetch(new Request(request.url.replace("SHOP", id as string), request)),
});

const order = await shop.POST("/actors/SHOP/messages/order", { body: { items: [{ name: "tea", count: 2 }], note: null } });
const query = { words: ["a", "b"], limit: 7 };
const found = await shop.GET("/actors/SHOP/query/find", { params: { query } });
const asked = await shop.POST("/actors/SHOP/query/by", { body: { item: { name: "cup", count: 1 } } });
console.log(JSON.stringify({ order: order.response.status, found: found.data, asked: asked.data }));
