// node's own HTTP server at its default strictness: says 200 to whatever it takes for a request, once all of it has come.
import http from "node:http";

const server = http.createServer({ maxHeaderSize: 1 << 17, requestTimeout: 2000, connectionsCheckingInterval: 500 }, (request, response) => {
  request.resume();
  request.on("end", () => response.end());
});
server.maxHeadersCount = 2000;
server.listen(Number(process.argv[2]), "127.0.0.1");
