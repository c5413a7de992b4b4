import Testing

@testable import StompCodec

struct NegotiationTests {
    @Test(
        "the highest version in common is agreed",
        arguments: [
            (nil, StompVersion.v10), ("1.0", .v10), ("1.0,1.1,1.2", .v12), ("1.0,1.1,2.0", .v11),
            ("1.2", .v12), ("1.2, 1.0", .v12), ("1.1 ,1.0", .v11), ("2.0,3.1", nil), ("", nil),
        ] as [(String?, StompVersion?)]
    )
    func versions(_ accept: String?, _ version: StompVersion?) {
        #expect(StompVersion.negotiate(acceptVersion: accept) == version)
    }

    @Test("a heart-beat header is two whole numbers")
    func heartBeatHeader() throws {
        let heartBeat = try HeartBeat(parsing: "100,0")
        #expect(heartBeat == HeartBeat(sendMilliseconds: 100, receiveMilliseconds: 0))
        #expect(heartBeat.headerValue == "100,0")
        for text in ["", "1", "1,2,3", "-1,0", "a,1", ",", "1.5,1"] {
            #expect(throws: StompError.badHeartBeat(text)) { try HeartBeat(parsing: text) }
        }
        let huge = try HeartBeat(parsing: "99999999999999999999,1")
        #expect(huge.sendMilliseconds == 864_000_000)
    }

    @Test("beats flow at the slower of offer and wish, or not at all")
    func heartBeatAgreement() {
        let broker = HeartBeat(sendMilliseconds: 10_000, receiveMilliseconds: 10_000)
        let fast = HeartBeat(sendMilliseconds: 1000, receiveMilliseconds: 500)
        let slow = HeartBeat(sendMilliseconds: 60_000, receiveMilliseconds: 30_000)
        #expect(HeartBeat.interval(from: fast, to: broker) == 10_000)
        #expect(HeartBeat.interval(from: slow, to: broker) == 60_000)
        #expect(HeartBeat.interval(from: broker, to: slow) == 30_000)
        #expect(HeartBeat.interval(from: .none, to: broker) == nil)
        #expect(HeartBeat.interval(from: broker, to: .none) == nil)
    }
}
