// The JavaScript AWS SDK, exactly as it is: start, invoke, iterate the stream, read a file, meet an error, stop.
// Prints what it saw as one JSON object; the test that starts it compares.

import {
  BedrockAgentCoreClient,
  GetCodeInterpreterSessionCommand,
  InvokeCodeInterpreterCommand,
  ListCodeInterpreterSessionsCommand,
  ResourceNotFoundException,
  StartCodeInterpreterSessionCommand,
  StopCodeInterpreterSessionCommand,
  ValidationException,
} from "@aws-sdk/client-bedrock-agentcore";

const client = new BedrockAgentCoreClient({});
const codeInterpreterIdentifier = process.argv[2];

const started = await client.send(new StartCodeInterpreterSessionCommand({ codeInterpreterIdentifier, name: "from JavaScript" }));
const where = { codeInterpreterIdentifier, sessionId: started.sessionId };

async function call(name, args) {
  const answer = await client.send(new InvokeCodeInterpreterCommand({ ...where, name, arguments: args }));
  const events = [];
  for await (const event of answer.stream) events.push(event);
  if (answer.sessionId !== started.sessionId) throw new Error("the answer names another session");
  if (events.length !== 1 || !events[0].result) throw new Error(`not one result but ${JSON.stringify(events)}`);
  return events[0].result;
}

const bytes = Uint8Array.from({ length: 4096 }, (_, index) => index % 256);
const seen = {
  created: started.createdAt instanceof Date,
  python: await call("executeCode", { language: "python", code: "print(6 * 7)" }),
  failed: await call("executeCode", { language: "python", code: "1/0" }),
  // Longer than nothing and shorter than a test run's patience: the stream is open while this runs.
  slow: await call("executeCommand", { command: "sleep 0.5; echo done" }),
  written: await call("writeFiles", { content: [{ path: "a.bin", blob: bytes }, { path: "b.txt", text: "größe" }] }),
};
const [binary, text] = (await call("readFiles", { paths: ["a.bin", "b.txt"] })).content;
seen.binary = Buffer.compare(Buffer.from(binary.resource.blob), Buffer.from(bytes)) === 0;
seen.text = text.resource.text;
// botocore takes 24 MiB in one message; this client takes what comes.
await call("executeCode", { language: "python", code: "open('large.bin', 'wb').write(bytes(17 << 20));" });
seen.large = (await call("readFiles", { paths: ["large.bin"] })).content[0].resource.blob.length;

seen.status = (await client.send(new GetCodeInterpreterSessionCommand(where))).status;
seen.listed = (await client.send(new ListCodeInterpreterSessionsCommand({ codeInterpreterIdentifier, maxResults: 100 }))).items.some(
  (item) => item.sessionId === started.sessionId,
);
try {
  await client.send(new ListCodeInterpreterSessionsCommand({ codeInterpreterIdentifier, maxResults: 101 }));
} catch (error) {
  seen.validation = { modelled: error instanceof ValidationException, reason: error.reason, fields: error.fieldList.map((f) => f.name), status: error.$metadata.httpStatusCode };
}
await client.send(new StopCodeInterpreterSessionCommand(where));
try {
  await call("listFiles", {});
} catch (error) {
  seen.stopped = { modelled: error instanceof ResourceNotFoundException, status: error.$metadata.httpStatusCode };
}
console.log(JSON.stringify(seen));
