import Base

/// What a client has put into an open transaction; nothing of it is visible to anyone.
///
/// Confinement: broker loop.
final class Transaction {
    struct Send {
        let destination: DestinationID
        let message: Message
    }

    /// A delivery that the commit settles or returns; held in flight until then.
    struct Claim {
        let subscription: Subscription
        let number: DeliveryNumber
        let answer: Answer
    }

    let name: String
    let began: MonotonicTime
    private(set) var sends: [Send] = []
    private(set) var claims: [Claim] = []
    /// Bytes of all messages in `sends`.
    private(set) var bytes = 0
    private let account: TransactionAccount

    init(name: String, began: MonotonicTime, account: TransactionAccount) {
        self.name = name
        self.began = began
        self.account = account
    }

    deinit {
        account.bytes -= bytes + sends.count * Message.overheadBytes
    }

    /// Adds a message, or says which limit forbids it.
    func add(
        _ message: Message,
        to destination: DestinationID,
        limits: BrokerLimits
    ) throws(BrokerError) {
        try checkCount(adding: 1, limits: limits)
        guard bytes + message.byteCount <= limits.transactionBytes else {
            throw BrokerError(
                .limitReached,
                "transaction \(name): transaction_bytes = \(limits.transactionBytes)"
            )
        }
        guard account.bytes + message.footprint <= limits.openTransactionBytes else {
            throw BrokerError(
                .limitReached,
                "transaction \(name): all open transactions together hold "
                    + "open_transaction_bytes = \(limits.openTransactionBytes)"
            )
        }
        account.bytes += message.footprint
        bytes += message.byteCount
        sends.append(Send(destination: destination, message: message.compacted()))
    }

    /// Claims deliveries for the commit, or says which limit forbids it.
    func claim(
        _ numbers: [DeliveryNumber],
        of subscription: Subscription,
        _ answer: Answer,
        limits: BrokerLimits
    ) throws(BrokerError) {
        try checkCount(adding: numbers.count, limits: limits)
        for number in numbers {
            subscription.inFlight.hold(number)
            claims.append(Claim(subscription: subscription, number: number, answer: answer))
        }
    }

    private func checkCount(adding count: Int, limits: BrokerLimits) throws(BrokerError) {
        guard sends.count + claims.count + count <= limits.transactionMessages else {
            throw BrokerError(
                .limitReached,
                "transaction \(name): transaction_messages = \(limits.transactionMessages)"
            )
        }
    }
}

/// What all open transactions hold in memory together.
///
/// Each transaction takes its share off when it goes, whatever ended it.
///
/// Confinement: broker loop.
final class TransactionAccount {
    /// The sum of the messages' `footprint`.
    fileprivate(set) var bytes = 0
}
