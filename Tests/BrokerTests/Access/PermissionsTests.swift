import Testing

@testable import Broker

@Suite("Permissions")
struct PermissionsTests {
    private static let permissions = try? Permissions(
        send: ["/queue/email", "/fanout/orders", "/topic/a.*"],
        subscribe: ["/queue/orders.>", "/topic/*.b"],
        create: ["/queue/>"]
    )

    @Test(
        "a right holds for what its patterns cover, and for nothing else",
        arguments: [
            (Permissions.Right.send, "/queue/email", true), (.send, "/queue/email.x", false),
            (.send, "/queue/emai", false), (.send, "/fanout/orders", true),
            (.send, "/fanout/others", false), (.send, "/topic/a.x", true),
            (.send, "/topic/a.x.y", false), (.send, "/topic/a", false),
            (.send, "/queue/orders.x", false), (.send, "", false), (.send, "email", false),
            (.subscribe, "/queue/orders.x", true), (.subscribe, "/queue/orders.x.y", true),
            (.subscribe, "/queue/orders", false), (.subscribe, "/queue/email", false),
            (.subscribe, "/topic/a.b", true), (.subscribe, "/topic/a.c", false),
            (.create, "/queue/anything.at.all", true), (.create, "/topic/a", false),
        ]
    )
    func table(right: Permissions.Right, name: String, isAllowed: Bool) throws {
        let permissions = try #require(Self.permissions)
        #expect(permissions.allow(right, name) == isAllowed)
        #expect(Permissions.everything.allow(right, name))
        #expect(!Permissions.nothing.allow(right, name))
    }

    @Test(
        "a pattern may be subscribed to if one permitted pattern covers all of it",
        arguments: [
            ("/queue/>", "/queue/>", true), ("/queue/>", "/queue/*", true),
            ("/queue/>", "/queue/a.>", true), ("/queue/>", "/queue/a", true),
            ("/queue/>", "/topic/>", false), ("/queue/*", "/queue/>", false),
            ("/queue/*", "/queue/*", true), ("/queue/*", "/queue/*.*", false),
            ("/queue/a.>", "/queue/>", false), ("/queue/a.>", "/queue/*.>", false),
            ("/queue/a.>", "/queue/a.>", true), ("/queue/a.>", "/queue/a.*", true),
            ("/queue/a.>", "/queue/a.*.>", true), ("/queue/a.>", "/queue/a", false),
            ("/queue/*.>", "/queue/>", false), ("/queue/*.>", "/queue/*.*", true),
            ("/queue/*.>", "/queue/*.>", true), ("/queue/*.b", "/queue/a.b", true),
            ("/queue/*.b", "/queue/*.b", true), ("/queue/*.b", "/queue/*.*", false),
            ("/queue/*.b", "/queue/*.>", false), ("/queue/a", "/queue/*", false),
            ("/queue/a.b", "/queue/a.*", false),
        ]
    )
    func subsumption(permitted: String, wanted: String, isAllowed: Bool) throws {
        let permissions = try Permissions(send: [], subscribe: [permitted], create: [])
        #expect(try permissions.allowSubscribing(toAll: wanted) == isAllowed)
        #expect(try Permissions.everything.allowSubscribing(toAll: wanted))
        #expect(try !Permissions.nothing.allowSubscribing(toAll: wanted))
    }

    @Test("for all short patterns, one covers another exactly if no name tells otherwise")
    func exhaustive() throws {
        let patterns = try Self.texts(of: ["a", "b", "*"], partsMax: 3).flatMap { parts in
            [parts, parts + [">"]]
        }.filter { !$0.isEmpty }.map { try DestinationPattern(parsing: Self.name($0)) }
        // A part that no pattern names, and one part more than any pattern lists.
        let names = Self.texts(of: ["a", "b", "c"], partsMax: 4).filter { !$0.isEmpty }
            .map(Self.name)
        let matched = patterns.map { pattern in names.map { pattern.matches($0) } }
        for (index, pattern) in patterns.enumerated() {
            for (other, otherPattern) in patterns.enumerated() {
                let isCovered = zip(matched[other], matched[index]).allSatisfy { !$0 || $1 }
                #expect(
                    pattern.covers(otherPattern) == isCovered,
                    "\(pattern.text) and \(otherPattern.text)"
                )
            }
        }
    }

    private static func name(_ parts: [String]) -> String {
        "/queue/" + parts.joined(separator: ".")
    }

    /// All lists of up to `partsMax` of these.
    private static func texts(of parts: [String], partsMax: Int) -> [[String]] {
        guard partsMax > 0 else { return [[]] }
        let shorter = texts(of: parts, partsMax: partsMax - 1)
        let longest = shorter.filter { $0.count == partsMax - 1 }
        return shorter + longest.flatMap { list in parts.map { list + [$0] } }
    }
}

@Suite("Access to destinations")
struct DestinationAccessTests {
    private func identity(
        send: [String] = [],
        subscribe: [String] = [],
        create: [String] = []
    ) throws -> Identity {
        Identity(
            user: "web",
            proof: .certificate,
            permissions: try Permissions(send: send, subscribe: subscribe, create: create)
        )
    }

    @Test("what is not permitted is refused by name, whether it is there or not")
    func refused() throws {
        let broker = try BrokerHarness()
        try broker.send(try broker.connect(), "/queue/there", "x")
        let web = try broker.connect(try identity(send: ["/queue/mine"], create: ["/queue/>"]))
        for name in ["/queue/there", "/queue/not.there", "/fanout/f"] {
            let failure = error { try broker.send(web, name, "x") }
            #expect(failure?.kind == .notAllowed)
            #expect(failure?.text == "user web may not send to \(name) ([[permit]])")
            #expect(failure?.refusal == AccessRefusal(user: "web", right: .send, destination: name))
        }
        let failure = error { try broker.subscribe(web, "/queue/there") }
        #expect(failure?.text == "user web may not subscribe to /queue/there ([[permit]])")
        try broker.send(web, "/queue/mine", "x")
        #expect(broker.depth("/queue/mine") == 1 && broker.depth("/queue/there") == 1)
    }

    @Test("creating wants both the user's right and [create] allow")
    func creating() throws {
        let broker = try BrokerHarness { $0.createAllow = ["/queue/a.>"] }
        let lists = ["/queue/>"]
        let sender = try broker.connect(try identity(send: lists))
        let maker = try broker.connect(try identity(send: lists, create: lists))
        let failure = error { try broker.send(sender, "/queue/a.1", "x") }
        #expect(failure?.text == "user web may not create /queue/a.1 ([[permit]])")
        #expect(failure?.refusal?.right == .create)
        #expect(
            error { try broker.send(maker, "/queue/b", "x") }?.text.contains("[create]") == true
        )
        try broker.send(maker, "/queue/a.1", "x")
        try broker.send(sender, "/queue/a.1", "y")
        #expect(broker.depth("/queue/a.1") == 2)
    }

    @Test("sending to a fan-out needs the right for its name, not for its children")
    func fanout() throws {
        let broker = try BrokerHarness {
            $0.fanouts = [.init(name: "/fanout/f", children: ["/queue/c"])]
        }
        let web = try broker.connect(try identity(send: ["/fanout/f"]))
        try broker.send(web, "/fanout/f", "x")
        #expect(broker.depth("/queue/c") == 1)
        #expect(error { try broker.send(web, "/queue/c", "x") }?.kind == .notAllowed)
    }

    @Test("a wildcard reads nothing that its user may not, now or later")
    func wildcards() throws {
        let broker = try BrokerHarness()
        let web = try broker.connect(try identity(subscribe: ["/queue/a.>"]))
        let other = try broker.connect()
        for pattern in ["/queue/>", "/queue/*.1", "/topic/>"] {
            let failure = error { try broker.subscribe(web, pattern) }
            #expect(failure?.text == "user web may not subscribe to \(pattern) ([[permit]])")
        }
        try broker.subscribe(web, "/queue/a.*", prefetch: 9)
        try broker.send(other, "/queue/a.1", "mine")
        try broker.send(other, "/queue/b.1", "not mine")
        #expect(broker.received(web) == ["mine"])
    }

    @Test("an address of a temporary queue is a right to send; making one wants any other right")
    func temporaries() throws {
        let broker = try BrokerHarness()
        let web = try broker.connect(try identity(send: ["/queue/work"], create: ["/queue/>"]))
        let nobody = try broker.connect(
            Identity(user: "nobody", proof: .certificate, permissions: .nothing)
        )
        let address = try broker.broker.temporaryAddress(
            web,
            "/temp-queue/r",
            token: { "token" },
            now: broker.now
        )
        try broker.subscribe(web, "/temp-queue/r", .auto)
        try broker.send(nobody, address, "reply")
        #expect(broker.received(web) == ["reply"])
        #expect(error { try broker.subscribe(nobody, address) }?.kind == .notAllowed)
        let failure = error {
            _ = try broker.broker.temporaryAddress(
                nobody,
                "/temp-queue/r",
                token: { "other" },
                now: broker.now
            )
        }
        #expect(failure?.refusal?.user == "nobody")
    }

    @Test("malformed names are told as such, whatever is permitted")
    func malformed() throws {
        let broker = try BrokerHarness()
        let web = try broker.connect(try identity())
        #expect(error { try broker.send(web, "/queue/ä", "x") }?.kind == .badDestination)
        #expect(error { try broker.send(web, "/queue/*", "x") }?.kind == .badDestination)
    }
}
