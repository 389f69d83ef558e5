import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.Scanner;

/**
 * Account has deposit(BigDecimal), withdraw(BigDecimal) and BigDecimal balance(); the first two
 * throw IllegalArgumentException when they refuse.
 */
public class Main {
    public static void main(String[] arguments) {
        Account account = new Account();
        Scanner commands = new Scanner(System.in);
        while (commands.hasNext()) {
            try {
                follow(account, commands.next(), commands);
            } catch (IllegalArgumentException refused) {
                System.out.println("refused: " + refused.getMessage());
            }
        }
    }

    private static void follow(Account account, String command, Scanner commands) {
        switch (command) {
            case "deposit" -> account.deposit(new BigDecimal(commands.next()));
            case "withdraw" -> account.withdraw(new BigDecimal(commands.next()));
            default -> System.out.println(account.balance().setScale(2, RoundingMode.HALF_EVEN));
        }
    }
}
