import Base
import NIOHTTP1
import StompCodec
import SwiftASN1
import Testing

@testable import Server

@Suite struct OriginRuleTests {
    @Test(
        "without a list, pages of the host that is connected to may",
        arguments: [
            ("http://h:15674", "h:15674", true), ("http://H:15674", "h:15674", true),
            ("http://h", "h:15674", false), ("http://h:1", "h:15674", false),
            ("http://h", "h", true), ("http://h:80", "h", true), ("https://h", "h:443", true),
            ("https://h", "h:80", false), ("http://[::1]:8", "[::1]:8", true),
            ("null", "null", false), ("h", "h", false), ("http://h.evil", "h", false),
            ("http://x@h", "h", false),
        ]
    )
    func sameHost(origin: String, host: String, isAllowed: Bool) {
        #expect(OriginRule([]).allows(origin, host: host) == isAllowed)
        #expect(OriginRule(["*"]).allows(origin, host: host))
        #expect(OriginRule(["https://app"]).allows(origin, host: host) == false)
        #expect(OriginRule([origin]).allows(origin, host: "other"))
    }

    @Test(
        "an origin has a scheme and a host, and no path",
        arguments: [
            ("*", true), ("https://app.example", true), ("http://[::1]:8080", true),
            ("chrome-extension://abc", true), ("app.example", false), ("https://", false),
            ("https://app.example/", false), ("https://a b", false), ("", false), ("://a", false),
            ("https://*.example", false),
        ]
    )
    func form(text: String, isValid: Bool) {
        #expect(OriginRule.isValid(text) == isValid)
    }
}

@Suite struct WebSocketRequestTests {
    private func head(_ changes: [String: String?] = [:]) -> HTTPRequestHead {
        var head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/x")
        var headers: [String: String] = [
            "host": "h:1", "upgrade": "WebSocket", "connection": "keep-alive, Upgrade",
            "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        ]
        for (name, value) in changes { headers[name] = value }
        for (name, value) in headers { head.headers.add(name: name, value: value) }
        return head
    }

    @Test(
        "the highest version that is offered is agreed on",
        arguments: [
            (nil, nil), ("v10.stomp, v11.stomp", .v11), ("v12.stomp,v10.stomp", .v12),
            ("mqtt, v10.stomp", .v10),
        ] as [(String?, StompVersion?)]
    )
    func versions(offered: String?, version: StompVersion?) throws {
        let head = head(["sec-websocket-protocol": offered])
        #expect(try WebSocketRequest.check(head, OriginRule([])) == version)
    }

    @Test(
        "what is missing is refused with a status that says so",
        arguments: [
            ("upgrade", nil, 426), ("connection", "close", 426),
            ("sec-websocket-version", "8", 426),
            ("sec-websocket-version", nil, 426), ("sec-websocket-key", "x", 400),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZ???", 400), ("host", nil, 400),
            ("origin", "http://evil", 403), ("sec-websocket-protocol", "STOMP", 400),
            ("sec-websocket-protocol", "", 400),
        ] as [(String, String?, Int)]
    )
    func refusals(name: String, value: String?, status: Int) {
        let refusal = #expect(throws: WebSocketRequest.Refusal.self) {
            try WebSocketRequest.check(head([name: value]), OriginRule([]))
        }
        #expect(refusal?.status.code == UInt(status))
    }
}

@Suite struct CertificateNameTests {
    /// As much of a certificate as its name needs.
    private func certificate(_ names: [(ASN1ObjectIdentifier, String)]) throws -> [UInt8] {
        var serializer = DER.Serializer()
        try serializer.appendConstructedNode(identifier: .sequence) { outer in
            try outer.appendConstructedNode(identifier: .sequence) { inner in
                try inner.serialize(explicitlyTaggedWithTagNumber: 0, tagClass: .contextSpecific) {
                    try $0.serialize(2)
                }
                try inner.serialize(1)
                for _ in 0..<3 { inner.appendConstructedNode(identifier: .sequence) { _ in } }
                try inner.appendConstructedNode(identifier: .sequence) { subject in
                    for (id, name) in names {
                        try subject.appendConstructedNode(identifier: .set) { set in
                            try set.appendConstructedNode(identifier: .sequence) { attribute in
                                try attribute.serialize(id)
                                try attribute.serialize(ASN1UTF8String(name))
                            }
                        }
                    }
                }
                inner.appendConstructedNode(identifier: .sequence) { _ in }
            }
            outer.appendConstructedNode(identifier: .sequence) { _ in }
        }
        return serializer.serializedBytes
    }

    private static let commonName: ASN1ObjectIdentifier = [2, 5, 4, 3]
    private static let organisation: ASN1ObjectIdentifier = [2, 5, 4, 10]

    @Test(
        "one plain common name is the client's, anything else names nobody",
        arguments: [
            (["alice"], "alice"), (["älice Ω"], "älice Ω"), ([], nil), (["a", "b"], nil),
            ([""], nil),
            (["a\0b"], nil), (["a\nb"], nil),
        ] as [([String], String?)]
    )
    func names(commonNames: [String], expected: String?) throws {
        let names = [(Self.organisation, "tests")] + commonNames.map { (Self.commonName, $0) }
        #expect(try CertificateName.commonName(ofDER: certificate(names)) == expected)
    }

    @Test("bytes that are no certificate are an error")
    func garbage() {
        #expect(throws: (any Error).self) {
            try CertificateName.commonName(ofDER: [0x30, 0x03, 0x02, 0x01])
        }
    }
}

@Suite struct HeartBeatFloorTests {
    @Test("a client may be silent for twice its interval, and for the floor where there is one")
    func floor() {
        let start = MonotonicTime(nanoseconds: 0)
        for (floor, last) in [(Interval.zero, 20), (.seconds(70), 70), (.seconds(5), 20)] {
            var clock = HeartBeatClock(
                sendMilliseconds: nil,
                receiveMilliseconds: 10_000,
                silenceMin: floor,
                now: start
            )
            let time = start.advanced(by: .seconds(UInt64(last)))
            #expect(clock.tick(time) == .none)
            #expect(clock.tick(time.advanced(by: .milliseconds(1))) == .peerIsSilent)
        }
    }
}
