import Testing

@testable import Broker

@Suite("Authentication")
struct AuthenticatorTests {
    private let file = Authenticator(.passcodes(hashes: ["web": "hash"], decoy: "decoy"))

    private func claim(
        _ user: String?,
        _ passcode: String?,
        certificate: String? = nil
    ) -> LoginClaim {
        LoginClaim(
            user: user,
            passcode: passcode.map { Array($0.utf8) },
            certificateUser: certificate
        )
    }

    @Test("without authentication nobody has a name, whatever he says")
    func none() {
        let decision = Authenticator(.none).decide(claim("web", "x", certificate: "web"))
        #expect(decision == .accepted(user: nil, .none))
    }

    @Test("a passcode is checked for a user that is there and for one that is not")
    func passcodes() {
        let passcode = Array("x".utf8)
        #expect(
            file.decide(claim("web", "x"))
                == .check(PasscodeCheck(user: "web", passcode: passcode, hash: "hash"))
        )
        #expect(
            file.decide(claim("wbe", "x"))
                == .check(PasscodeCheck(user: nil, passcode: passcode, hash: "decoy"))
        )
        for (user, passcode) in [(nil, nil), ("web", nil), (nil, "x"), ("", "x"), ("web", "")] {
            #expect(file.decide(claim(user, passcode)) == .refused(.missing))
        }
        #expect(file.decide(claim(nil, nil, certificate: "web")) == .refused(.missing))
    }

    @Test(
        "the user is whom the certificate names, and a login may say no other",
        arguments: [
            (nil, "web", .accepted(user: "web", .certificate)),
            ("", "web", .accepted(user: "web", .certificate)),
            ("web", "web", .accepted(user: "web", .certificate)),
            ("wbe", "web", .refused(.certificateOther)),
            ("web", nil, .refused(.certificateMissing)),
            (nil, nil, .refused(.certificateMissing)),
            (nil, "a:b", .refused(.certificateName)), (nil, "*", .refused(.certificateName)),
            (nil, "", .refused(.certificateName)),
        ] as [(String?, String?, Authenticator.Decision)]
    )
    func certificates(user: String?, certificate: String?, decision: Authenticator.Decision) {
        let authenticator = Authenticator(.certificate)
        #expect(authenticator.decide(claim(user, "x", certificate: certificate)) == decision)
    }

    @Test("a proof counts as long as its user has the same hash")
    func proofs() {
        #expect(file.accepts("web", .passcode(hash: "hash")))
        #expect(!file.accepts("web", .passcode(hash: "older")))
        #expect(!file.accepts("wbe", .passcode(hash: "hash")))
        #expect(!file.accepts(nil, .none) && !file.accepts("web", .certificate))
        #expect(Authenticator(.none).accepts(nil, .none))
        #expect(!Authenticator(.none).accepts("web", .passcode(hash: "hash")))
        #expect(!Authenticator(.certificate).accepts("web", .passcode(hash: "hash")))
    }

    @Test("a user without a permit may do everything if there is none at all, else nothing")
    func permits() throws {
        let authenticator = Authenticator(.certificate)
        let some = try Permissions(send: ["/queue/a"], subscribe: [], create: [])
        func permissions(_ permits: [String: Permissions], _ user: String) -> Permissions? {
            AccessRules(authenticator, permits: permits).identity(user, .certificate)?.permissions
        }
        #expect(permissions([:], "web") == .everything)
        #expect(permissions(["other": some], "web") == .nothing)
        #expect(permissions(["web": some], "web") == some)
        #expect(permissions(["*": some], "web") == some)
        #expect(permissions(["*": .everything, "web": some], "web") == some)
        #expect(AccessRules(authenticator, permits: [:]).identity(nil, .none) == nil)
        #expect(AccessRules.open.identity(nil, .none) == .anybody)
    }

    @Test(
        "names of users fit into one line of a log and of a file",
        arguments: [
            ("web", true), ("Jürgen Müller", true), ("a@b.c", true), ("a", true),
            (String(repeating: "x", count: 128), true), (String(repeating: "x", count: 129), false),
            ("", false), ("*", false), ("a:b", false), ("a\"b", false), ("a\\b", false),
            (" a", false), ("a ", false), ("a\nb", false), ("a\u{1B}[0m", false), ("a\0", false),
            ("a\u{202E}b", false), ("a\u{2028}b", false), ("a\u{200B}b", false),
            ("a\u{00A0}b", false),
        ]
    )
    func names(name: String, isRight: Bool) {
        #expect((UserName.problem(name) == nil) == isRight)
    }

    @Test("a name in a log line is shortened and has nothing that a line must not have")
    func shown() {
        #expect(UserName.shown("web") == "web")
        #expect(UserName.shown("a\n2026 info login\u{1B}[2J") == "a?2026 info login?[2J")
        let long = UserName.shown(String(repeating: "x", count: 1000))
        #expect(long == String(repeating: "x", count: 64) + "...")
    }
}
