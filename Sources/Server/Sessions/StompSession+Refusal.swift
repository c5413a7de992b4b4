import Broker
import Logging
import NIOCore
import StompCodec

/// What a client is told before its connection ends, and what the operator is told of it.
extension StompSession {
    func fail(_ error: BrokerError) { fail(error, receiptID: nil) }

    func fail(_ error: BrokerError, receiptID: ByteBuffer?) {
        let message =
            switch error.kind {
            case .badDestination: "bad destination"
            case .notAllowed: "not allowed"
            case .limitReached: "limit reached"
            case .refused: "refused"
            case .badTransaction: "bad transaction"
            case .badSubscription: "bad subscription"
            }
        guard let refusal = error.refusal else {
            fail(message, error.text, receiptID: receiptID)
            return
        }
        loop.access.stats.accessRefused += 1
        loop.logger.notice(
            "access refused",
            metadata: [
                LogKeys.user: "\(refusal.user ?? "")", LogKeys.peer: "\(peer)",
                LogKeys.right: "\(refusal.right.rawValue)",
                LogKeys.destination: "\(refusal.destination)",
            ]
        )
        refuse(message, error.text, receiptID: receiptID)
    }

    /// Sends an ERROR frame once all receipts before it are given, then closes.
    ///
    /// `isExplained`: false keeps the explanation out of the log.
    func fail(
        _ message: String,
        _ explanation: String,
        receiptID: ByteBuffer? = nil,
        listsVersions: Bool = false,
        isExplained: Bool = true
    ) {
        guard takesFrames || state == .loggingIn else { return }
        if !loop.isStopping {
            var metadata: Logger.Metadata = [
                LogKeys.peer: "\(peer)", LogKeys.reason: "\(message)",
            ]
            if isExplained { metadata[LogKeys.detail] = "\(explanation)" }
            if let user = identity?.user { metadata[LogKeys.user] = "\(user)" }
            loop.logRefusal("client refused", metadata)
        }
        refuse(message, explanation, receiptID: receiptID, listsVersions: listsVersions)
    }
}
