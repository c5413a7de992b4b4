import NIOHTTP1
import StompCodec

/// Judges a client's request to speak WebSocket: RFC 6455, 4.2.1.
enum WebSocketRequest {
    /// Why there will be no WebSocket, in HTTP.
    struct Refusal: Error, Equatable {
        let status: HTTPResponseStatus
        let text: String
        var headers: [String: String] = [:]
    }

    /// The version that the agreed sub-protocol stands for; nil if the client offers none.
    static func check(
        _ head: HTTPRequestHead,
        _ origins: OriginRule
    ) throws(Refusal) -> StompVersion? {
        guard head.method == .GET else {
            throw Refusal(
                status: .methodNotAllowed,
                text: "Only GET is answered here: this is a port for WebSocket clients.",
                headers: ["allow": "GET"]
            )
        }
        guard head.version == .http1_1, has("upgrade", "websocket", head),
            has("connection", "upgrade", head)
        else {
            throw Refusal(
                status: .upgradeRequired,
                text: "This is a port for WebSocket clients.",
                headers: ["upgrade": "websocket", "sec-websocket-version": "13"]
            )
        }
        guard head.headers["sec-websocket-version"] == ["13"] else {
            throw Refusal(
                status: .upgradeRequired,
                text: "Only version 13 of WebSocket is spoken here.",
                headers: ["upgrade": "websocket", "sec-websocket-version": "13"]
            )
        }
        let keys = head.headers["sec-websocket-key"]
        guard keys.count == 1, let key = keys.first, isKey(key) else {
            let text = "Sec-WebSocket-Key must be 16 bytes in Base64."
            throw Refusal(status: .badRequest, text: text)
        }
        let hosts = head.headers["host"]
        guard hosts.count == 1, let host = hosts.first else {
            throw Refusal(status: .badRequest, text: "There must be one Host header.")
        }
        let senders = head.headers["origin"]
        guard senders.count <= 1, origins.allows(senders.first, host: host) else {
            throw Refusal(
                status: .forbidden,
                text: "Pages of this origin may not connect: see origins in the configuration."
            )
        }
        return try subProtocol(head)
    }

    /// The name of the sub-protocol for a version.
    static func name(_ version: StompVersion) -> String {
        switch version {
        case .v10: "v10.stomp"
        case .v11: "v11.stomp"
        case .v12: "v12.stomp"
        }
    }

    private static func subProtocol(_ head: HTTPRequestHead) throws(Refusal) -> StompVersion? {
        guard head.headers.contains(name: "sec-websocket-protocol") else { return nil }
        let offered = head.headers[canonicalForm: "sec-websocket-protocol"]
        if let best = StompVersion.allCases.last(where: { offered.contains(name($0)[...]) }) {
            return best
        }
        let ours = StompVersion.allCases.map(name).joined(separator: ", ")
        throw Refusal(
            status: .badRequest,
            text: "None of the sub-protocols is spoken here; known: \(ours)."
        )
    }

    private static func has(_ header: String, _ word: String, _ head: HTTPRequestHead) -> Bool {
        head.headers[canonicalForm: header].contains { $0.lowercased() == word }
    }

    /// 16 bytes in Base64 are 22 characters and two for padding.
    private static func isKey(_ text: String) -> Bool {
        text.utf8.count == 24 && text.hasSuffix("==")
            && text.dropLast(2).allSatisfy {
                $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "+" || $0 == "/")
            }
    }
}
