import Broker

/// The check of one passcode, to be run on a thread that may block.
///
/// A passcode that was right lately is found out by a quick hash, for clients that reconnect all at once
/// would wait minutes for the slow one. The quick hashes are in memory only, and salted anew by each
/// process. A wrong passcode always costs the slow hash, and for every user the same.
struct PasscodeJob: Sendable {
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
        case failed(String)
    }

    let check: PasscodeCheck
    let known: Known?
    let quickSetting: String

    /// Blocks for about 2 ms or about 100 ms.
    func run() -> Verdict {
        // A longer one is nobody's; it must not be cut to one that is right, nor be told by its time.
        let isTooLong = check.passcode.count > PasscodeHash.passcodeBytes.upperBound
        let passcode = isTooLong ? [] : check.passcode
        do throws(PasscodeHashError) {
            let quickHash = try PasscodeHash.hash(passcode, by: quickSetting)
            if let known, known.hash == check.hash, check.user != nil, !isTooLong,
                PasscodeHash.areEqual(known.quickHash, quickHash)
            {
                return .right(known)
            }
            let hash = try PasscodeHash.hash(passcode, by: check.hash)
            guard PasscodeHash.areEqual(hash, check.hash), check.user != nil, !isTooLong else {
                return .wrong
            }
            return .right(Known(hash: check.hash, quickHash: quickHash))
        } catch {
            return .failed(error.text)
        }
    }
}
