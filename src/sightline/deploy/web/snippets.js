// What one would type to ask a server the same.

import { contentType } from "./remote.js";

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const python = JSON.stringify;  // its strings are Python's too

// asked: a list of {model, top, threshold}; the key itself is never copied.
export function curl(engine, entry, asked) {
  return asked.map((one) => [
    `curl --data-binary ${shell(`@${entry.name}`)}`,
    `-H ${shell(`Content-Type: ${contentType(entry.blob)}`)}`,
    ...(engine.key ? ['-H "Authorization: Bearer $SIGHTLINE_KEY"'] : []),
    shell(engine.request(one)),
  ].join(" \\\n  ")).join("\n");
}

export function urllib(engine, entry, asked) {
  const headers = [`"Content-Type": ${python(contentType(entry.blob))}`];
  if (engine.key) headers.push('"Authorization": "Bearer " + os.environ["SIGHTLINE_KEY"]');
  return `import json
${engine.key ? "import os\n" : ""}from pathlib import Path
from urllib.request import Request, urlopen

picture = Path(${python(entry.name)}).read_bytes()
headers = {${headers.join(", ")}}
for address in [
${asked.map((one) => `    ${python(engine.request(one))},`).join("\n")}
]:
    with urlopen(Request(address, picture, headers)) as answer:
        print(json.dumps(json.load(answer), indent=2, ensure_ascii=False))
`;
}
