/// Which pages' scripts may connect by WebSocket.
///
/// Browsers name the page in `Origin` and let no script change that. Who sends none is no browser,
/// could say anything, and is not asked. RFC 6455, 10.2.
struct OriginRule: Sendable, Equatable {
    private let allowed: Set<String>
    private let allowsAll: Bool

    /// `origins` as the configuration lists them; none = pages of the host that is connected to.
    init(_ origins: [String]) {
        allowsAll = origins.contains("*")
        allowed = Set(origins.map { $0.lowercased() })
    }

    /// Whether a page may connect to what it called `host`.
    func allows(_ origin: String?, host: String) -> Bool {
        guard let origin, !allowsAll else { return true }
        let page = origin.lowercased()
        guard allowed.isEmpty else { return allowed.contains(page) }
        guard let separator = page.firstRange(of: "://") else { return false }
        let port = Self.defaultPort(page[..<separator.lowerBound])
        let pageHost = page[separator.upperBound...]
        return Self.without(port, pageHost) == Self.without(port, host.lowercased()[...])
    }

    private static func defaultPort(_ scheme: Substring) -> String {
        scheme == "https" ? ":443" : ":80"
    }

    private static func without(_ port: String, _ host: Substring) -> Substring {
        host.hasSuffix(port) ? host.dropLast(port.count) : host
    }

    /// Whether a text is `*` or the origin of a page as a browser writes it.
    static func isValid(_ text: String) -> Bool {
        if text == "*" { return true }
        guard let separator = text.firstRange(of: "://") else { return false }
        let scheme = text[..<separator.lowerBound]
        let host = text[separator.upperBound...]
        return scheme.first?.isLetter == true && !host.isEmpty
            && scheme.allSatisfy { isAllowed($0, besides: "+.-") }
            && host.allSatisfy { isAllowed($0, besides: ".-_:[]") }
    }

    private static func isAllowed(_ character: Character, besides others: String) -> Bool {
        character.isASCII
            && (character.isLetter || character.isNumber || others.contains(character))
    }
}
