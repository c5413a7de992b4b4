/// What one side of a connection offers and wishes, as in the header `heart-beat:<send>,<receive>`.
///
/// STOMP 1.2, "Heart-beating". Milliseconds; 0 means that it cannot, or does not want to.
package struct HeartBeat: Equatable, Sendable {
    /// The shortest interval at which this side can send.
    package var sendMilliseconds: UInt64
    /// The interval at which this side would like to receive.
    package var receiveMilliseconds: UInt64

    /// What a missing header means.
    package static let none = HeartBeat(sendMilliseconds: 0, receiveMilliseconds: 0)

    /// Intervals longer than this are taken as this: 10 days.
    private static let millisecondsMax: UInt64 = 864_000_000

    package init(sendMilliseconds: UInt64, receiveMilliseconds: UInt64) {
        self.sendMilliseconds = sendMilliseconds
        self.receiveMilliseconds = receiveMilliseconds
    }

    /// Reads the header's value.
    ///
    /// - Throws: `StompError.badHeartBeat` unless it is two whole numbers with a comma between.
    package init(parsing text: String) throws(StompError) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count == 2, let send = Self.number(parts[0]),
            let receive = Self.number(parts[1])
        else { throw .badHeartBeat(String(text.prefix(32))) }
        self.init(sendMilliseconds: send, receiveMilliseconds: receive)
    }

    private static func number(_ text: Substring) -> UInt64? {
        let digits = text.drop { $0 == " " }
        guard !digits.isEmpty, digits.utf8.allSatisfy({ $0.digit != nil }) else { return nil }
        return min(UInt64(digits) ?? .max, millisecondsMax)
    }

    /// The value of the header.
    package var headerValue: String { "\(sendMilliseconds),\(receiveMilliseconds)" }

    /// The interval, in milliseconds, at which `sender` must send to `receiver`; nil for none.
    package static func interval(from sender: HeartBeat, to receiver: HeartBeat) -> UInt64? {
        guard sender.sendMilliseconds > 0, receiver.receiveMilliseconds > 0 else { return nil }
        return max(sender.sendMilliseconds, receiver.receiveMilliseconds)
    }
}
