import Broker

/// The check of one passcode, to be run on a thread that may block.
///
/// A passcode that was right lately is found out by a quick hash, for clients that reconnect all at once
/// would wait minutes for the slow one. The quick hashes are in memory only, and salted anew by each
/// process. A wrong passcode always costs both hashes, whoever's it is.
struct PasscodeJob: Sendable {
    /// Which hash is computed.
    enum Step: Sendable, Equatable {
        /// The quick one, of a user whose passcode is remembered.
        case quick(Known)
        /// The slow one, and the quick one of a user without one that is remembered.
        case slow(quickHash: String?)
    }

    /// What is remembered of a passcode that was right.
    struct Known: Sendable, Equatable {
        /// The hash in the users file that it was right for.
        let hash: String
        let quickHash: String
    }

    /// What came of it.
    enum Verdict: Sendable, Equatable {
        case right(Known)
        case wrong
        /// Not the one that is remembered, which may have changed; this is its quick hash.
        case unknown(quickHash: String)
        case failed(String)
    }

    let check: PasscodeCheck
    let step: Step
    let quickSetting: String

    /// Blocks for about 2 ms or about 100 ms.
    func run() -> Verdict {
        do throws(PasscodeHashError) {
            switch step {
            case .quick(let known): return try runQuick(known)
            case .slow(let quickHash): return try runSlow(quickHash)
            }
        } catch {
            return .failed(error.text)
        }
    }

    /// A longer one is nobody's; it must not be cut to one that is right, nor be told by its time.
    private var isTooLong: Bool { check.passcode.count > PasscodeHash.passcodeBytes.upperBound }

    private var passcode: [UInt8] { isTooLong ? [] : check.passcode }

    private func runQuick(_ known: Known) throws(PasscodeHashError) -> Verdict {
        let quickHash = try PasscodeHash.hash(passcode, by: quickSetting)
        let isKnown =
            known.hash == check.hash && check.user != nil && !isTooLong
            && PasscodeHash.areEqual(known.quickHash, quickHash)
        return isKnown ? .right(known) : .unknown(quickHash: quickHash)
    }

    private func runSlow(_ quickHash: String?) throws(PasscodeHashError) -> Verdict {
        var quickHash = quickHash ?? ""
        if quickHash.isEmpty { quickHash = try PasscodeHash.hash(passcode, by: quickSetting) }
        let hash = try PasscodeHash.hash(passcode, by: check.hash)
        guard PasscodeHash.areEqual(hash, check.hash), check.user != nil, !isTooLong else {
            return .wrong
        }
        return .right(Known(hash: check.hash, quickHash: quickHash))
    }
}
