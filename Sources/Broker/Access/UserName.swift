/// The form of user names, the same in the users file, in permits, in logins and in certificates.
package enum UserName {
    /// Longest name in characters (Unicode scalars).
    package static let lengthMax = 128

    /// What is wrong with a name, or nil.
    package static func problem(_ name: String) -> String? {
        let scalars = name.unicodeScalars
        guard (1...lengthMax).contains(scalars.count) else {
            return "a user's name has 1 to \(lengthMax) characters"
        }
        guard scalars.allSatisfy(isAllowed) else {
            return "a user's name has no colon, quote, backslash, control or invisible character"
        }
        guard scalars.first != " ", scalars.last != " " else {
            return "a user's name neither begins nor ends with a space"
        }
        return name == "*" ? "* stands for every user" : nil
    }

    /// A name as somebody gave it, fit for one line of a log: shortened, with `?` for what no name has.
    package static func shown(_ name: String) -> String {
        var shown = String.UnicodeScalarView()
        for scalar in name.unicodeScalars.prefix(shownMax) {
            shown.append(isAllowed(scalar) ? scalar : "?")
        }
        return String(shown) + (name.unicodeScalars.count > shownMax ? "..." : "")
    }

    private static let shownMax = 64

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        if scalar == ":" || scalar == "\"" || scalar == "\\" { return false }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
            .paragraphSeparator:
            return false
        case .spaceSeparator: return scalar == " "
        default: return true
        }
    }
}
