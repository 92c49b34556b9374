// Why there is no answer: RFC 9457's members, whether a server said them or this page.

const PREFIX = "urn:sightline:problem:";

export class Problem extends Error {
  constructor(kind, detail = "", { title = "", status = 0, retryAfter = 0 } = {}) {
    super(detail || title || kind);
    Object.assign(this, { kind, detail, title, status, retryAfter });
  }

  static fromDocument({ type = "", title, detail, status }, retryAfter = 0) {
    return new Problem(type.replace(PREFIX, ""), detail, { title, status, retryAfter });
  }

  static async fromResponse(response) {
    const retryAfter = Number(response.headers.get("Retry-After")) || 0;
    try {
      return Problem.fromDocument(await response.json(), retryAfter);
    } catch {  // a proxy in between that says it in HTML
      return new Problem("failed", `HTTP ${response.status}`, { status: response.status, retryAfter });
    }
  }
}
